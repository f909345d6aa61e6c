/**
 * What of a drawing is in view: all of it, some cards, or the one at hand moved in no further than it must. Lengths are pixels
 * of the window; boxes and places are on the canvas.
 */
import type { Core } from 'cytoscape';
import type { Box, Point, SceneCard } from './scene.ts';

/** Zoom below which cards cannot be told apart, one at which they can be read, and one beyond which nothing is gained. */
const TOO_SMALL = 0.35;
const READABLE = 0.7;
const LARGE = 1.1;
const MARGIN = 36;

/** A box fills the view, but for `padding` at each side, as far as it can be read so. */
export function fit(core: Core, box: Box, padding = MARGIN): void {
  core.resize();
  const across = (core.width() - 2 * padding) / Math.max(1, box.width);
  const down = (core.height() - 2 * padding) / Math.max(1, box.height);
  const empty = box.width === 0 && box.height === 0;
  core.zoom(empty ? 1 : Math.min(LARGE, Math.max(core.minZoom(), Math.min(across, down))));
  centre(core, { x: box.x + box.width / 2, y: box.y + box.height / 2 });
}

/** All of it where it can be read so, else the part around a place; true when all is in view. */
export function fitOrShow(core: Core, box: Box, part: Point | undefined): boolean {
  fit(core, box);
  if (part === undefined || core.zoom() >= TOO_SMALL) return true;
  core.zoom(READABLE);
  centre(core, part);
  return false;
}

export function centre(core: Core, { x, y }: Point): void {
  const zoom = core.zoom();
  core.pan({ x: core.width() / 2 - x * zoom, y: core.height() / 2 - y * zoom });
}

export function bringIntoView(core: Core, card: SceneCard, at: Point): void {
  const [pan, zoom] = [core.pan(), core.zoom()];
  const [x, y] = [at.x * zoom + pan.x, at.y * zoom + pan.y];
  const [across, down] = [(card.width * zoom) / 2, (card.height * zoom) / 2];
  const seen = x >= across && y >= down && x <= core.width() - across && y <= core.height() - down;
  if (!seen) centre(core, at);
}

export function outOfView(core: Core, { x, y, width, height }: Box): boolean {
  const [pan, zoom] = [core.pan(), core.zoom()];
  const [left, top] = [x * zoom + pan.x, y * zoom + pan.y];
  return left < 0 || top < 0 || left + width * zoom > core.width() || top + height * zoom > core.height();
}

export function zoom(core: Core, factor: number): void {
  core.zoom({ level: core.zoom() * factor, renderedPosition: { x: core.width() / 2, y: core.height() / 2 } });
}
