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

export type Direction = 'LR' | 'TB';
/** Where cards stand, and for wires that pass other ranks the lane kept free for them: its two ends. */
export type Layout = {
  readonly places: Record<string, Point>;
  readonly lanes: Record<string, readonly [Point, Point]>;
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
  const lanes: Record<string, readonly [Point, Point]> = {};
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
  places: Record<string, Point>,
  from: string,
  to: string,
  direction: Direction,
): readonly [Point, Point] | null {
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

const CLEAR = 16;

/** A lane around the cards a straight wire would run under, above or below them, whichever is nearer; null when none is in the way. */
export function laneAround(
  from: Point,
  to: Point,
  cards: readonly SceneCard[],
  places: Readonly<Record<string, Point>>,
  ends: readonly [string, string],
): readonly [Point, Point] | null {
  const boxes = cards
    .filter(({ id }) => !ends.includes(id) && places[id])
    .map(({ id, width, height }) => ({
      left: places[id].x - width / 2,
      right: places[id].x + width / 2,
      top: places[id].y - height / 2,
      bottom: places[id].y + height / 2,
    }))
    .filter((box) => box.left > from.x && box.right < to.x);
  const inWay = boxes.filter((box) => {
    const y = from.y + ((to.y - from.y) * ((box.left + box.right) / 2 - from.x)) / (to.x - from.x);
    return y > box.top - 6 && y < box.bottom + 6;
  });
  if (inWay.length === 0) return null;
  const [left, right] = [Math.min(...inWay.map((box) => box.left)), Math.max(...inWay.map((box) => box.right))];
  const within = boxes.filter((box) => box.left < right && box.right > left);
  const free = (y: number): boolean => within.every((box) => y <= box.top - CLEAR + 1 || y >= box.bottom + CLEAR - 1);
  const middle = (from.y + to.y) / 2;
  const y = within
    .flatMap((box) => [box.top - CLEAR, box.bottom + CLEAR])
    .filter(free)
    .sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))[0];
  return y === undefined
    ? null
    : [
        { x: left, y },
        { x: right, y },
      ];
}

/** A wire by where it begins and ends. */
export type Span = { readonly id: string; readonly from: Point; readonly to: Point };

/** Whether a wire runs back, to a card that is not right of the one it leaves. */
export function runsBack({ from, to }: Pick<Span, 'from' | 'to'>): boolean {
  return to.x - from.x < 12;
}

type Box = { readonly left: number; readonly right: number; readonly top: number; readonly bottom: number };
type Taken = { readonly left: number; readonly right: number; readonly y: number };

/**
 * Lanes for wires that run back: each leaves to the right, runs above or below every card between its ends, whichever is
 * nearer, and comes in from the left. `room` is how far it swings out, `clear` its distance from cards; lanes keep apart.
 */
export function backLanes(
  spans: readonly Span[],
  cards: readonly SceneCard[],
  places: Readonly<Record<string, Point>>,
  room = 20,
  clear = CLEAR,
): Record<string, readonly [Point, Point]> {
  const boxes = cards
    .filter(({ id }) => places[id])
    .map(({ id, width, height }): Box => ({
      left: places[id].x - width / 2,
      right: places[id].x + width / 2,
      top: places[id].y - height / 2,
      bottom: places[id].y + height / 2,
    }));
  const lanes: Record<string, readonly [Point, Point]> = {};
  const taken: Taken[] = [];
  const shortestFirst = spans.filter(runsBack).sort((a, b) => a.from.x - a.to.x - (b.from.x - b.to.x));
  for (const { id, from, to } of shortestFirst) {
    let [left, right] = [to.x - room, from.x + room];
    let y = laneHeight({ left, right, near: (from.y + to.y) / 2 }, boxes, taken, clear);
    // A wider card above or below the ends pushes the upright pieces out, which may ask for another height.
    for (let tries = 0; tries < 3; tries++) {
      const out = Math.max(right, ...crossed(boxes, right, from.y, y).map((box) => box.right + room / 2));
      const back = Math.min(left, ...crossed(boxes, left, to.y, y).map((box) => box.left - room / 2));
      if (out === right && back === left) break;
      [left, right] = [back, out];
      y = laneHeight({ left, right, near: (from.y + to.y) / 2 }, boxes, taken, clear);
    }
    taken.push({ left, right, y });
    lanes[id] = [
      { x: right, y },
      { x: left, y },
    ];
  }
  return lanes;
}

/** Cards that an upright piece of a wire would run through. */
function crossed(boxes: readonly Box[], x: number, from: number, to: number): Box[] {
  const [top, bottom] = [Math.min(from, to), Math.max(from, to)];
  return boxes.filter((box) => box.left < x && box.right > x && box.top < bottom && box.bottom > top);
}

/** The height nearest to `near` at which a lane from left to right is clear of every card and every other lane. */
function laneHeight(
  { left, right, near }: { left: number; right: number; near: number },
  boxes: readonly Box[],
  taken: readonly Taken[],
  clear: number,
): number {
  const gap = clear / 2;
  const within = boxes.filter((box) => box.left < right && box.right > left);
  const others = taken.filter((lane) => lane.left < right && lane.right > left);
  const free = (y: number): boolean =>
    within.every((box) => y <= box.top - clear + 0.5 || y >= box.bottom + clear - 0.5) &&
    others.every((lane) => Math.abs(lane.y - y) >= gap - 0.5);
  const steps = Array.from({ length: others.length + 1 }, (_, step) => clear + step * gap);
  const heights = within.flatMap((box) => steps.flatMap((step) => [box.top - step, box.bottom + step])).filter(free);
  return heights.sort((a, b) => Math.abs(a - near) - Math.abs(b - near))[0] ?? near;
}

function pointOf(node: { x?: number; y?: number }): Point {
  return { x: node.x ?? 0, y: node.y ?? 0 };
}

/** Every card's place: the fixed ones, and for a scene without them all, the layout's. Lanes hold only in a laid-out scene. */
export function arrange(scene: Scene, spacing?: Spacing, direction?: Direction): Layout {
  const fixed = scene.cards.filter((card) => scene.places[card.id]);
  if (fixed.length === scene.cards.length && fixed.length > 0) return { places: { ...scene.places }, lanes: {} };
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

export type Curve = { readonly weights: readonly number[]; readonly distances: readonly number[] };

/**
 * The control points of a wire: it leaves and enters along the direction of flow; with a lane it follows that between.
 * Drawn as quadratic pieces joined at the middles of successive control points, so paired points lie level on the lane.
 */
export function bends(from: Point, to: Point, direction: Direction, lane?: readonly [Point, Point]): Point[] {
  if (direction === 'TB')
    return bends(turned(from), turned(to), 'LR', lane && [turned(lane[0]), turned(lane[1])]).map(turned);
  const level = (point: Point, by: number): Point => ({ x: point.x + by, y: point.y });
  if (lane && lane[0].x > lane[1].x) {
    const room = lane[0].x - from.x;
    return [level(from, room), lane[0], level(lane[0], -2 * room), level(lane[1], 2 * room), lane[1], level(to, -room)];
  }
  if (lane) {
    const room = Math.max(8, Math.min(24, (lane[0].x - from.x) / 2.5));
    return [
      level(from, room),
      level(lane[0], -room),
      level(lane[0], room),
      level(lane[1], -room),
      level(lane[1], room),
      level(to, -room),
    ];
  }
  const dx = to.x - from.x;
  // Half way keeps a forward wire free of wobble; one that is being pulled backward swings out far enough to be seen.
  const reach = dx >= 12 ? dx / 2 : Math.min(160, Math.abs(to.y - from.y) / 2 + 60);
  return [level(from, reach), level(to, -reach)];
}

function turned(point: Point): Point {
  return { x: point.y, y: point.x };
}

/**
 * Control points as Cytoscape wants them: each a weight along the straight line between the ends and a signed distance
 * from it (its unit normal is (−dy, dx)/length).
 */
export function curve(from: Point, to: Point, points: readonly Point[]): Curve {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const squared = dx * dx + dy * dy;
  if (squared === 0) return { weights: [0.5], distances: [0] };
  const length = Math.sqrt(squared);
  return {
    weights: points.map((point) => ((point.x - from.x) * dx + (point.y - from.y) * dy) / squared),
    distances: points.map((point) => ((point.x - from.x) * -dy + (point.y - from.y) * dx) / length),
  };
}

/** The same wire as an SVG path. */
export function svgPath(from: Point, to: Point, points: readonly Point[]): string {
  const middles = points
    .slice(1)
    .map((point, at) => ({ x: (point.x + points[at].x) / 2, y: (point.y + points[at].y) / 2 }));
  const pieces = points.map((point, at) => {
    const end = middles[at] ?? to;
    return `Q${point.x} ${point.y} ${end.x} ${end.y}`;
  });
  return `M${from.x} ${from.y}${pieces.join('')}`;
}

/** The smallest box around all cards. */
export function bounds(
  cards: readonly SceneCard[],
  places: Readonly<Record<string, Point>>,
): { x: number; y: number; width: number; height: number } {
  if (cards.length === 0) return { x: 0, y: 0, width: 0, height: 0 };
  const left = Math.min(...cards.map((card) => places[card.id].x - card.width / 2));
  const right = Math.max(...cards.map((card) => places[card.id].x + card.width / 2));
  const top = Math.min(...cards.map((card) => places[card.id].y - card.height / 2));
  const bottom = Math.max(...cards.map((card) => places[card.id].y + card.height / 2));
  return { x: left, y: top, width: right - left, height: bottom - top };
}
