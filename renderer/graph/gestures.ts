/**
 * What a pointer does on a canvas: drags cards, alone or with all that are selected, and lays them on the grid; presses on empty
 * canvas; draws a box around cards.
 */
import type { EventObjectNode } from 'cytoscape';
import type { GraphCanvas } from './canvas.ts';
import { snapped } from './glide.ts';
import type { Point } from './scene.ts';

type Gestures = {
  readonly selected: () => ReadonlySet<string>;
  /** A person has placed something, or moved the view. */
  readonly ontouch: () => void;
  readonly ondropped: () => void;
  readonly onclear: () => void;
  /** A double press on empty canvas; `at` is on the canvas, `screen` in the window. */
  readonly onempty: (at: Point, screen: Point) => void;
  readonly onopen: (id: string) => void;
  readonly onbox: (ids: string[]) => void;
};

export function listenToPointer(canvas: GraphCanvas, gestures: Gestures): void {
  const { core } = canvas;
  core.on('dragpan scrollzoom pinchzoom', gestures.ontouch);
  // Two quick presses on two things are not a double one, nor are presses that select more.
  let tapped: [unknown, unknown] = [null, null];
  core.on('tap', (event) => {
    tapped = [tapped[1], event.target];
    if (event.target === core) gestures.onclear();
  });
  core.on('dbltap', (event) => {
    const { clientX, clientY, shiftKey, ctrlKey, metaKey } = event.originalEvent as MouseEvent;
    if (tapped[0] !== tapped[1] || shiftKey || ctrlKey || metaKey) return;
    if (event.target === core) gestures.onempty({ ...event.position }, { x: clientX, y: clientY });
    else if (event.target.isNode()) gestures.onopen(event.target.id());
  });
  const boxed: string[] = [];
  core.on('box', 'node', ({ target }) => {
    if (boxed.length === 0) queueMicrotask(() => gestures.onbox(boxed.splice(0)));
    boxed.push(target.id());
  });
  listenToDrags(canvas, gestures);
}

function listenToDrags(canvas: GraphCanvas, { selected, ontouch, ondropped }: Gestures): void {
  /** Cards that move with the one that is held: all that are selected, when it is one of them. */
  let company: { id: string; by: Point }[] = [];
  canvas.core.on('grab', 'node', ({ target }: EventObjectNode) => {
    const chosen = selected();
    const others = chosen.has(target.id()) ? [...chosen].filter((id) => id !== target.id()) : [];
    const from = target.position();
    company = others.flatMap((id) => {
      const at = canvas.places[id];
      return at ? [{ id, by: { x: at.x - from.x, y: at.y - from.y } }] : [];
    });
  });
  canvas.core.on('drag', 'node', ({ target }: EventObjectNode) => {
    ontouch();
    const at = target.position();
    const moved: Record<string, Point> = { [target.id()]: { ...at } };
    for (const { id, by } of company) moved[id] = { x: at.x + by.x, y: at.y + by.y };
    canvas.drag(moved, target.id());
  });
  canvas.core.on('dragfree', 'node', ({ target, originalEvent }: EventObjectNode) => {
    // Alt lays a card between the lines of the grid.
    const free = (originalEvent as MouseEvent | undefined)?.altKey === true;
    canvas.put(free ? {} : snapped(canvas.places, [target.id(), ...company.map(({ id }) => id)]));
    ondropped();
  });
}
