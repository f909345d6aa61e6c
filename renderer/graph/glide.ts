/** Cards on their way from where they stood to where they belong: short, and none where the system asks for none. */
import type { Point } from './scene.ts';

type Places = Readonly<Record<string, Point>>;

const GLIDE_MS = 140;
/** More cards than this are put where they belong at once. */
const MOST = 120;

/** Grid that a dragged card is laid on, in canvas units; the dots of the canvas are two of them apart. */
const GRID = 12;

/** The places on the grid of those named. */
export function snapped(places: Places, ids: Iterable<string>): Record<string, Point> {
  const on = (value: number): number => Math.round(value / GRID) * GRID;
  return Object.fromEntries(
    [...ids].flatMap((id) => (places[id] ? [[id, { x: on(places[id].x), y: on(places[id].y) }]] : [])),
  );
}

/** Cards that were there before and stand elsewhere now, where they came from; none where there are too many to follow. */
export function movedFrom(before: Places, after: Places): Record<string, Point> {
  const moved = Object.entries(after).filter(([id, to]) => {
    const from = before[id];
    return from && Math.hypot(from.x - to.x, from.y - to.y) > 1;
  });
  return moved.length > MOST ? {} : Object.fromEntries(moved.map(([id]) => [id, before[id]]));
}

/** Calls `show` with the places of the way, frame by frame, the last time with the end; returns how to go there at once. */
export function glide(from: Places, to: Places, show: (places: Record<string, Point>) => void): () => void {
  let frame = 0;
  const ends = Object.fromEntries(Object.keys(from).map((id) => [id, to[id]]));
  const stop = (): void => {
    cancelAnimationFrame(frame);
    frame = 0;
    show(ends);
  };
  const began = performance.now();
  const step = (): void => {
    const share = Math.min(1, (performance.now() - began) / GLIDE_MS);
    if (share >= 1) return stop();
    const eased = 1 - (1 - share) ** 3;
    show(
      Object.fromEntries(
        Object.entries(from).map(([id, at]) => [
          id,
          { x: at.x + (to[id].x - at.x) * eased, y: at.y + (to[id].y - at.y) * eased },
        ]),
      ),
    );
    frame = requestAnimationFrame(step);
  };
  step();
  return () => void (frame !== 0 && stop());
}
