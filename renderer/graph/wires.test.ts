import { describe, expect, it } from 'vitest';
import { templateNames, templateWorkflow } from '../../workflows/templates/index.ts';
import { layOut, type Point } from './scene.ts';
import { cards, wires } from './testing.ts';
import { backLanes, bends, laneAround, runsBack, spanOf, svgPath, type Span } from './wires.ts';

/** Points along a wire as it is drawn: quadratic pieces joined at the middles of its control points. */
function along(from: Point, to: Point, points: readonly Point[]): Point[] {
  let start = from;
  return points.flatMap((control, at) => {
    const next = points[at + 1];
    const end = next ? { x: (control.x + next.x) / 2, y: (control.y + next.y) / 2 } : to;
    const piece = Array.from({ length: 16 }, (_, step) => {
      const t = step / 16;
      const mix = (a: number, b: number, c: number): number => (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t ** 2 * c;
      return { x: mix(start.x, control.x, end.x), y: mix(start.y, control.y, end.y) };
    });
    start = end;
    return piece;
  });
}

describe('wires', () => {
  it('leave and enter horizontally: control points stand level with the ends', () => {
    const points = bends({ x: 10, y: 20 }, { x: 210, y: 120 }, 'LR');
    expect(points).toEqual([
      { x: 110, y: 20 },
      { x: 110, y: 120 },
    ]);
  });
  it('keeps a lane free beside the cards a long wire passes', () => {
    const long = { id: 'long', from: 'a', to: 'c' };
    const { places, lanes } = layOut(cards, [...wires.slice(0, 2), long]);
    const [start, end] = lanes.long;
    expect(Math.abs(start.y - places.b.y)).toBeGreaterThan(20);
    expect([start.x, end.x]).toEqual([places.b.x - 50, places.b.x + 50]);
    const path = bends(places.a, places.c, 'LR', lanes.long);
    expect((path[1].y + path[2].y) / 2).toBe(start.y);
    expect(lanes['a>b']).toBeUndefined();
  });
  it('leads a wire around a card that was dragged into its way', () => {
    const places = { a: { x: 0, y: 0 }, b: { x: 200, y: 5 }, c: { x: 400, y: 0 } };
    const lane = laneAround({ x: 50, y: 0 }, { x: 350, y: 0 }, cards, places, ['a', 'c']);
    expect(lane).toEqual([
      { x: 150, y: -31 },
      { x: 250, y: -31 },
    ]);
    expect(
      laneAround({ x: 50, y: 0 }, { x: 350, y: 0 }, cards, { ...places, b: { x: 200, y: 90 } }, ['a', 'c']),
    ).toBeNull();
  });
  it('leads wires that run back around every card, each in a lane of its own', () => {
    for (const name of templateNames) {
      const workflow = templateWorkflow(name);
      const boxes = workflow.nodes.map(({ id, kind }) => ({
        id,
        label: id,
        width: kind === 'role' ? 184 : 112,
        height: 90,
      }));
      const half = (id: string): number => (boxes.find((box) => box.id === id)?.width ?? 0) / 2;
      const drawn = workflow.edges.map(({ from, to }, at) => ({ id: String(at), from: from.node, to: to.node }));
      const { places } = layOut(boxes, drawn, { between: 30, ranks: 46 });
      const spans: Span[] = drawn.map(({ id, from, to }) => ({
        id,
        from: { x: places[from].x + half(from), y: places[from].y },
        to: { x: places[to].x - half(to), y: places[to].y },
      }));
      const lanes = backLanes(spans, boxes, places);
      expect(Object.keys(lanes).sort((a, b) => Number(a) - Number(b))).toEqual(
        spans.filter(runsBack).map(({ id }) => id),
      );
      const heights = Object.values(lanes).map(([start]) => start.y);
      expect(new Set(heights).size).toBe(heights.length);
      for (const span of spans.filter(runsBack))
        for (const { x, y } of along(span.from, span.to, bends(span.from, span.to, 'LR', lanes[span.id])))
          for (const { id, width } of boxes)
            expect(
              Math.abs(x - places[id].x) < width / 2 - 1 && Math.abs(y - places[id].y) < 44,
              `${name}: wire ${span.id} on ${id}`,
            ).toBe(false);
    }
  });
  it('draws a path from end to end', () => {
    expect(
      svgPath({ x: 0, y: 0 }, { x: 9, y: 9 }, [
        { x: 4, y: 0 },
        { x: 6, y: 9 },
      ]),
    ).toBe('M0 0Q4 0 5 4.5Q6 9 9 9');
  });
  it('begins and ends at its ports, or in the middles of sides where the scene runs down', () => {
    const known = new Map(cards.map((one) => [one.id, one]));
    const places = { a: { x: 0, y: 0 }, b: { x: 300, y: 50 } };
    const wire = { id: '1', from: 'a', to: 'b', fromY: 10 };
    expect(spanOf(wire, known, places, 'LR')).toEqual({ id: '1', from: { x: 53, y: -10 }, to: { x: 246, y: 50 } });
    expect(spanOf(wire, known, places, 'TB')).toEqual({ id: '1', from: { x: 0, y: 23 }, to: { x: 300, y: 26 } });
    expect(spanOf({ ...wire, to: 'c' }, known, places, 'LR')).toBeNull();
  });
});
