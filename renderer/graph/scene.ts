/**
 * A drawing of a graph in plain data: cards with ports, and wires between them. Screens make scenes; GraphView draws them.
 * Lengths are pixels at zoom 1; positions are centres of cards.
 */
import { Graph, layout } from '@dagrejs/dagre';

export type Point = { readonly x: number; readonly y: number };

export type SceneCard = {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** Read aloud and found by tests: "Role Decomposer". */
  readonly label: string;
};

export type SceneWire = {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  /** Where on the card the wire begins and ends, from its top; the middle when absent. */
  readonly fromY?: number;
  readonly toY?: number;
  readonly weak?: boolean;
};

export type Scene<Card extends SceneCard = SceneCard> = {
  readonly cards: readonly Card[];
  readonly wires: readonly SceneWire[];
  /** Fixed places; cards without one are laid out. */
  readonly places: Readonly<Record<string, Point>>;
};

export type Spacing = { readonly between: number; readonly ranks: number };
const usual: Spacing = { between: 28, ranks: 64 };

/** Wires that lead back to a card already on the way (loops), found depth first in the cards' own order. */
function backward(cards: readonly SceneCard[], wires: readonly SceneWire[]): Set<string> {
  const leaving = new Map(cards.map((card) => [card.id, wires.filter((wire) => wire.from === card.id)]));
  const state = new Map<string, 'open' | 'closed'>();
  const back = new Set<string>();
  const visit = (id: string): void => {
    state.set(id, 'open');
    for (const wire of leaving.get(id) ?? []) {
      if (state.get(wire.to) === 'open') back.add(wire.id);
      else if (!state.has(wire.to)) visit(wire.to);
    }
    state.set(id, 'closed');
  };
  for (const card of cards) if (!state.has(card.id)) visit(card.id);
  return back;
}

/** Left-to-right layered layout (dagre, network simplex); wires into the past (loops) are turned round for the layering. */
export function layOut(cards: readonly SceneCard[], wires: readonly SceneWire[], spacing: Spacing = usual): Record<string, Point> {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: 'LR', nodesep: spacing.between, ranksep: spacing.ranks, edgesep: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  const known = new Set(cards.map((card) => card.id));
  for (const card of cards) graph.setNode(card.id, { width: card.width, height: card.height });
  const back = backward(cards, wires);
  for (const wire of wires) {
    if (!known.has(wire.from) || !known.has(wire.to) || wire.from === wire.to) continue;
    if (back.has(wire.id)) graph.setEdge(wire.to, wire.from, {}, wire.id);
    else graph.setEdge(wire.from, wire.to, {}, wire.id);
  }
  layout(graph);
  return Object.fromEntries(cards.map((card) => [card.id, pointOf(graph.node(card.id))]));
}

function pointOf(node: { x?: number; y?: number }): Point {
  return { x: node.x ?? 0, y: node.y ?? 0 };
}

/** Every card's place: the fixed ones, and for a scene without them all, the layout's. */
export function placesOf(scene: Scene, spacing?: Spacing): Record<string, Point> {
  const fixed = scene.cards.filter((card) => scene.places[card.id]);
  if (fixed.length === scene.cards.length && fixed.length > 0) return { ...scene.places };
  const laid = layOut(scene.cards, scene.wires, spacing);
  if (fixed.length === 0) return laid;
  // New cards join an arranged scene below it, so that nothing a person placed moves.
  const lowest = Math.max(...fixed.map((card) => scene.places[card.id].y + card.height));
  const top = Math.min(...scene.cards.filter((card) => !scene.places[card.id]).map((card) => laid[card.id].y - card.height / 2));
  return Object.fromEntries(
    scene.cards.map((card) => [card.id, scene.places[card.id] ?? { x: laid[card.id].x, y: laid[card.id].y - top + lowest }]),
  );
}

export type Curve = { readonly weights: readonly number[]; readonly distances: readonly number[] };

/**
 * The S-curve of a wire as Cytoscape wants it: two control points, each as a weight along the straight line and a signed
 * distance from it (its unit normal is (−dy, dx)/length). The ends leave and enter horizontally.
 */
export function curve(from: Point, to: Point): Curve {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const squared = dx * dx + dy * dy;
  if (squared === 0) return { weights: [0.5], distances: [0] };
  const reach = Math.max(24, Math.abs(dx) / 2, dx < 0 ? Math.min(160, Math.abs(dy) / 2 + 60) : 0);
  const points = [
    { x: from.x + reach, y: from.y },
    { x: to.x - reach, y: to.y },
  ];
  const length = Math.sqrt(squared);
  return {
    weights: points.map((point) => ((point.x - from.x) * dx + (point.y - from.y) * dy) / squared),
    distances: points.map((point) => ((point.x - from.x) * -dy + (point.y - from.y) * dx) / length),
  };
}

/** The smallest box around all cards. */
export function bounds(cards: readonly SceneCard[], places: Readonly<Record<string, Point>>): { x: number; y: number; width: number; height: number } {
  if (cards.length === 0) return { x: 0, y: 0, width: 0, height: 0 };
  const left = Math.min(...cards.map((card) => places[card.id].x - card.width / 2));
  const right = Math.max(...cards.map((card) => places[card.id].x + card.width / 2));
  const top = Math.min(...cards.map((card) => places[card.id].y - card.height / 2));
  const bottom = Math.max(...cards.map((card) => places[card.id].y + card.height / 2));
  return { x: left, y: top, width: right - left, height: bottom - top };
}
