/**
 * A drawing of a graph in plain data: cards with ports, wires between them, and where the cards stand. Screens make scenes;
 * GraphView draws them. Lengths are pixels at zoom 1; positions are centres of cards.
 */
import { Graph, layout } from '@dagrejs/dagre';

export type Point = { readonly x: number; readonly y: number };

/** Of cards by their ids. */
export type Places = Readonly<Record<string, Point>>;
/** Where a wire runs level between its ends: from here to there. */
export type Lane = readonly [Point, Point];

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
  readonly places: Places;
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

export type Direction = 'LR' | 'TB';
/** Where cards stand, and for wires that pass other ranks the lane kept free for them: its two ends. */
export type Layout = {
  readonly places: Places;
  readonly lanes: Readonly<Record<string, Lane>>;
};

/** Layered layout (dagre, network simplex); wires into the past (loops) are turned round for the layering. */
export function layOut(
  cards: readonly SceneCard[],
  wires: readonly SceneWire[],
  spacing: Spacing = usual,
  direction: Direction = 'LR',
): Layout {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: direction, nodesep: spacing.between, ranksep: spacing.ranks, edgesep: spacing.between });
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
  const places = Object.fromEntries(cards.map((card) => [card.id, pointOf(graph.node(card.id))]));
  const lanes: Record<string, Lane> = {};
  for (const { v, w, name } of graph.edges()) {
    if (name === undefined || back.has(name)) continue;
    const points: Point[] = (graph.edge(v, w, name).points ?? []).slice(1, -1);
    const lane = laneOf(points, cards, places, v, w, direction);
    if (lane) lanes[name] = lane;
  }
  return { places, lanes };
}

/** dagre puts points on every rank a wire passes and between ranks; the lane spans the cards of the passed ranks. */
function laneOf(
  points: readonly Point[],
  cards: readonly SceneCard[],
  places: Places,
  from: string,
  to: string,
  direction: Direction,
): Lane | null {
  const along = direction === 'LR' ? 'x' : 'y';
  const size = direction === 'LR' ? 'width' : 'height';
  const passed = cards.filter(
    ({ id }) =>
      id !== from &&
      id !== to &&
      places[id][along] > places[from][along] + 1 &&
      places[id][along] < places[to][along] - 1,
  );
  if (passed.length === 0 || points.length === 0) return null;
  const start = Math.min(...passed.map((card) => places[card.id][along] - card[size] / 2));
  const end = Math.max(...passed.map((card) => places[card.id][along] + card[size] / 2));
  const across = points[Math.floor(points.length / 2)][along === 'x' ? 'y' : 'x'];
  return along === 'x'
    ? [
        { x: start, y: across },
        { x: end, y: across },
      ]
    : [
        { x: across, y: start },
        { x: across, y: end },
      ];
}

function pointOf(node: { x?: number; y?: number }): Point {
  return { x: node.x ?? 0, y: node.y ?? 0 };
}

/** Every card's place: the fixed ones, and for a scene without them all, the layout's. Lanes hold only in a laid-out scene. */
export function arrange(scene: Scene, spacing?: Spacing, direction?: Direction): Layout {
  const fixed = scene.cards.filter((card) => scene.places[card.id]);
  if (fixed.length === scene.cards.length && fixed.length > 0) return { places: scene.places, lanes: {} };
  const laid = layOut(scene.cards, scene.wires, spacing, direction);
  if (fixed.length === 0) return laid;
  // New cards join an arranged scene below it, so that nothing a person placed moves.
  const fresh = scene.cards.filter((card) => !scene.places[card.id]);
  const lowest = Math.max(...fixed.map((card) => scene.places[card.id].y + card.height));
  const top = Math.min(...fresh.map((card) => laid.places[card.id].y - card.height / 2));
  const below = Object.fromEntries(
    fresh.map(({ id }) => [id, { x: laid.places[id].x, y: laid.places[id].y - top + lowest }]),
  );
  return { places: { ...scene.places, ...below }, lanes: {} };
}

/** The direction in which a scene fills a canvas best. */
export function bestDirection(scene: Scene, spacing: Spacing | undefined, width: number, height: number): Direction {
  const zoom = (direction: Direction): number => {
    const box = bounds(scene.cards, arrange(scene, spacing, direction).places);
    return Math.min(1, width / Math.max(1, box.width), height / Math.max(1, box.height));
  };
  return zoom('TB') > zoom('LR') * 1.05 ? 'TB' : 'LR';
}

export type Box = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };

/** The smallest box around all cards. */
export function bounds(cards: readonly SceneCard[], places: Places): Box {
  if (cards.length === 0) return { x: 0, y: 0, width: 0, height: 0 };
  const left = Math.min(...cards.map((card) => places[card.id].x - card.width / 2));
  const right = Math.max(...cards.map((card) => places[card.id].x + card.width / 2));
  const top = Math.min(...cards.map((card) => places[card.id].y - card.height / 2));
  const bottom = Math.max(...cards.map((card) => places[card.id].y + card.height / 2));
  return { x: left, y: top, width: right - left, height: bottom - top };
}
