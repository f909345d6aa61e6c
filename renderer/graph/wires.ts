/**
 * How wires run between cards that have their places: where they begin and end, in which lanes they keep clear of cards and of
 * each other, and their curves. Lengths are pixels at zoom 1.
 */
import type { Direction, Lane, Places, Point, SceneCard, SceneWire } from './scene.ts';

/** Where a wire leaves and enters, from the middles of its cards; a little clear of their borders, so that its arrow is seen. */
function wireEnds(
  wire: SceneWire,
  cards: ReadonlyMap<string, SceneCard>,
  direction: Direction,
): { from: Point; to: Point } {
  const [source, target] = [cards.get(wire.from), cards.get(wire.to)];
  if (direction === 'TB')
    return { from: { x: 0, y: (source?.height ?? 0) / 2 + 3 }, to: { x: 0, y: -(target?.height ?? 0) / 2 - 4 } };
  const at = (end: SceneCard | undefined, y: number | undefined): number =>
    end && y !== undefined ? y - end.height / 2 : 0;
  return {
    from: { x: (source?.width ?? 0) / 2 + 3, y: at(source, wire.fromY) },
    to: { x: -(target?.width ?? 0) / 2 - 4, y: at(target, wire.toY) },
  };
}

/** A wire with its ends on the canvas; null while one of its cards has no place. */
export function spanOf(
  wire: SceneWire,
  cards: ReadonlyMap<string, SceneCard>,
  places: Places,
  direction: Direction,
): Span | null {
  const [a, b] = [places[wire.from], places[wire.to]];
  if (!a || !b) return null;
  const { from, to } = wireEnds(wire, cards, direction);
  return { id: wire.id, from: { x: a.x + from.x, y: a.y + from.y }, to: { x: b.x + to.x, y: b.y + to.y } };
}

const CLEAR = 16;

/** A lane around the cards a straight wire would run under, above or below them, whichever is nearer; null when none is in the way. */
export function laneAround(
  from: Point,
  to: Point,
  cards: readonly SceneCard[],
  places: Places,
  ends: readonly [string, string],
): Lane | null {
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
  places: Places,
  room = 20,
  clear = CLEAR,
): Record<string, Lane> {
  const boxes = cards
    .filter(({ id }) => places[id])
    .map(({ id, width, height }): Box => ({
      left: places[id].x - width / 2,
      right: places[id].x + width / 2,
      top: places[id].y - height / 2,
      bottom: places[id].y + height / 2,
    }));
  const lanes: Record<string, Lane> = {};
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

/**
 * The control points of a wire: it leaves and enters along the direction of flow; with a lane it follows that between.
 * Drawn as quadratic pieces joined at the middles of successive control points, so paired points lie level on the lane.
 */
export function bends(from: Point, to: Point, direction: Direction, lane?: Lane): Point[] {
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

/** A wire as an SVG path. */
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
