/**
 * A scene on a canvas: Cytoscape pans and zooms, and holds cards that can be moved as nodes that are not seen, for dragging and
 * boxes; wires are worked out here and drawn as SVG by whoever listens. Of a new scene only what differs from the one before
 * is touched, so that a long drawing can move on part by part. Knows no cards' faces.
 */
import cytoscape from 'cytoscape';
import { arrange, bestDirection, bounds } from './scene.ts';
import type { Box, Direction, Lane, Layout, Places, Point, Scene, SceneCard, SceneWire, Spacing } from './scene.ts';
import { backLanes, bends, laneAround, runsBack, spanOf, svgPath, type Span } from './wires.ts';

/** A wire as it is drawn: its path, and the points it bends at. */
export type Drawn = { readonly wire: SceneWire; readonly path: string; readonly points: readonly Point[] };

export type CanvasOptions = {
  /** Absent where nothing is seen: in tests. */
  readonly container?: HTMLElement;
  /** Cards that do not move cost Cytoscape nothing. */
  readonly movable: boolean;
  readonly boxes: boolean;
  /** Colour of the box that a person draws around cards. */
  readonly accent: string;
  readonly spacing?: Spacing | undefined;
  /** The scene runs whichever way fills the canvas best. */
  readonly turns: boolean;
  /** Parts of a long scene follow one another: between cards that stay, nothing comes, and their wires keep their way. */
  readonly inParts: boolean;
  /** Cards stand elsewhere; wires run otherwise. */
  readonly onplaces: (places: Places) => void;
  readonly onwires: (wires: readonly Drawn[]) => void;
};

/** Around a scene that is fitted into view, on both sides together. */
const MARGIN = 72;

export class GraphCanvas {
  readonly core: cytoscape.Core;
  places: Places = {};
  private readonly options: CanvasOptions;
  private scene: Scene = { cards: [], wires: [], places: {} };
  private cards: ReadonlyMap<string, SceneCard> = new Map();
  private direction: Direction = 'LR';
  private lanes: Layout['lanes'] = {};
  private drawn: ReadonlyMap<string, Drawn> = new Map();

  constructor(options: CanvasOptions) {
    this.options = options;
    const { container, boxes } = options;
    this.core = cytoscape({
      ...(container ? { container } : { headless: true, styleEnabled: true }),
      minZoom: 0.15,
      maxZoom: 2.5,
      boxSelectionEnabled: boxes,
      autounselectify: true,
      style: styleSheet(options.accent),
    });
  }

  card(id: string): SceneCard | undefined {
    return this.cards.get(id);
  }

  /** The smallest box around all cards and every way that a wire takes around them. */
  box(): Box {
    const { x, y, width, height } = bounds(this.scene.cards, this.places);
    const points = [...this.drawn.values()].flatMap((one) => one.points);
    const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
    const [left, top] = [Math.min(x, ...xs), Math.min(y, ...ys)];
    return { x: left, y: top, width: Math.max(x + width, ...xs) - left, height: Math.max(y + height, ...ys) - top };
  }

  /** Draws a scene in place of the one before; `anew` for another drawing, of which nothing is kept. */
  show(scene: Scene, anew = false): void {
    const { turns, spacing } = this.options;
    if (anew) {
      this.core.elements().remove();
      [this.cards, this.drawn] = [new Map(), new Map()];
    }
    const before = this.cards;
    this.scene = scene;
    this.cards = new Map(scene.cards.map((one) => [one.id, one]));
    // Cytoscape knows its size: asking the page would make it lay everything out in the middle of a frame.
    const room = (size: number): number => size - MARGIN;
    this.direction = turns ? bestDirection(scene, spacing, room(this.core.width()), room(this.core.height())) : 'LR';
    const arranged = arrange(scene, spacing, this.direction);
    this.lanes = arranged.lanes;
    if (this.options.movable)
      this.core.batch(() => {
        this.clear(before);
        this.add(arranged.places);
      });
    this.placed(arranged.places);
    this.bend();
  }

  /** Takes out cards that are not in the scene any more, or are of another size. */
  private clear(before: ReadonlyMap<string, SceneCard>): void {
    const gone = [...before.values()].filter((was) => {
      const now = this.cards.get(was.id);
      return now !== was && (now?.width !== was.width || now.height !== was.height);
    });
    for (const { id } of gone) this.core.getElementById(id).remove();
  }

  private add(places: Places): void {
    const made: cytoscape.ElementDefinition[] = [];
    for (const { id, width, height } of this.scene.cards) {
      const there = this.core.getElementById(id);
      const at = places[id];
      const position = { ...at };
      if (there.empty()) made.push({ data: { id, width, height }, position });
      else if (there.position('x') !== at.x || there.position('y') !== at.y) there.position(position);
    }
    if (made.length > 0) this.core.add(made);
  }

  /** Some cards stand elsewhere from now on. */
  put(moved: Places): void {
    this.core.batch(() => {
      for (const [id, at] of Object.entries(moved)) this.core.getElementById(id).position({ ...at });
    });
    this.placed({ ...this.places, ...moved });
    this.bend();
  }

  /** Cards on the way with the one that a pointer holds: only the wires that hang on them are drawn anew. */
  drag(moved: Places, held: string): void {
    this.lanes = {}; // a dragged card has left the layout the lanes belong to
    this.placed({ ...this.places, ...moved });
    for (const [id, at] of Object.entries(moved)) if (id !== held) this.core.getElementById(id).position({ ...at });
    this.bend(({ from, to }) => Object.hasOwn(moved, from) || Object.hasOwn(moved, to));
  }

  restyle(accent: string): void {
    this.core.style(styleSheet(accent));
  }

  private placed(places: Places): void {
    if (places === this.places) return;
    this.places = places;
    this.options.onplaces(places);
  }

  private laneOf(wire: SceneWire, { from, to }: Span): Lane | undefined {
    if (this.lanes[wire.id] || this.direction === 'TB') return this.lanes[wire.id];
    return laneAround(from, to, this.scene.cards, this.places, [wire.from, wire.to]) ?? undefined;
  }

  /** Works out the wires anew: all of them, or some. */
  private bend(which: (wire: SceneWire) => boolean = () => true): void {
    const drawn = new Map<string, Drawn>();
    const anew: { wire: SceneWire; span: Span }[] = [];
    for (const wire of this.scene.wires) {
      const was = this.drawn.get(wire.id);
      if (was) drawn.set(wire.id, was); // keeps its place in the order
      if (was && (!which(wire) || (this.options.inParts && was.wire === wire))) continue;
      const span = spanOf(wire, this.cards, this.places, this.direction);
      if (span) anew.push({ wire, span });
      else drawn.delete(wire.id);
    }
    const spans = anew.map(({ span }) => span);
    const back = this.direction === 'LR' ? backLanes(spans, this.scene.cards, this.places) : {};
    for (const { wire, span } of anew) {
      const lane = this.direction === 'LR' && runsBack(span) ? back[span.id] : this.laneOf(wire, span);
      const points = bends(span.from, span.to, this.direction, lane);
      const path = svgPath(span.from, span.to, points);
      const was = drawn.get(wire.id);
      if (was?.path !== path || was.wire !== wire) drawn.set(wire.id, { wire, path, points });
    }
    this.drawn = drawn;
    this.options.onwires([...drawn.values()]);
  }
}

function styleSheet(accent: string): cytoscape.StylesheetJson {
  const core = {
    'selection-box-color': accent,
    'selection-box-opacity': 0.15,
    'selection-box-border-width': 1,
    'active-bg-opacity': 0,
  } as unknown as cytoscape.Css.Core; // the types want all of it
  const node: cytoscape.Css.Node = {
    shape: 'rectangle',
    width: 'data(width)',
    height: 'data(height)',
    'background-opacity': 0,
    'border-width': 0,
    'overlay-opacity': 0,
  };
  return [
    { selector: 'node', style: node },
    { selector: 'core', style: core },
  ];
}
