import { describe, expect, it } from 'vitest';
import { GraphCanvas, type CanvasOptions, type Drawn } from './canvas.ts';
import { snapped } from './glide.ts';
import type { Places, Scene } from './scene.ts';
import { card, wire } from './testing.ts';
import { bringIntoView, fit, fitOrShow, outOfView } from './viewport.ts';

const chain = (ids: readonly string[]): Scene => ({
  cards: ids.map((id) => card(id)),
  wires: ids.slice(1).map((id, at) => wire(ids[at], id)),
  places: Object.fromEntries(ids.map((id) => [id, { x: 200 * Number(id), y: 0 }])),
});

type Opened = { canvas: GraphCanvas; log: string[]; places: () => Places; wires: () => Record<string, Drawn> };

function opened(options: Partial<CanvasOptions> = {}): Opened {
  const log: string[] = [];
  let places: Places = {};
  let drawn: readonly Drawn[] = [];
  const canvas = new GraphCanvas({
    ...{ movable: true, boxes: false, turns: false, inParts: false, accent: 'grey' },
    onplaces: (to) => (places = to),
    onwires: (to) => (drawn = to),
    ...options,
  });
  Object.assign(canvas.core, { width: () => 300, height: () => 300 }); // without a page it has no size
  canvas.core.on('add', ({ target }) => void log.push(`+${target.id()}`));
  canvas.core.on('remove', ({ target }) => void log.push(`-${target.id()}`));
  const wires = (): Record<string, Drawn> => Object.fromEntries(drawn.map((one) => [one.wire.id, one]));
  return { canvas, log, places: () => places, wires };
}

describe('a scene on a canvas', () => {
  it('moves on part by part: what stays is not touched', () => {
    const { canvas, log, places, wires } = opened({ inParts: true });
    const all = chain(['0', '1', '2', '3', '4']);
    const part = (from: number, to: number): Scene => {
      const cards = all.cards.slice(from, to);
      const known = new Set(cards.map(({ id }) => id));
      return { ...all, cards, wires: all.wires.filter((each) => known.has(each.from) && known.has(each.to)) };
    };
    canvas.show(part(0, 3), true);
    expect(Object.keys(wires())).toEqual(['0>1', '1>2']);
    const kept = wires()['1>2'];
    log.length = 0;
    canvas.show(part(1, 4));
    expect(log.sort()).toEqual(['+3', '-0']);
    expect(Object.keys(wires())).toEqual(['1>2', '2>3']);
    expect(wires()['1>2']).toBe(kept);
    expect(places()).toBe(all.places);
  });

  it('draws anew what has another size or other ends, and nothing else', () => {
    const { canvas, log, wires } = opened();
    const scene = chain(['0', '1', '2', '3']);
    canvas.show(scene, true);
    const before = wires();
    log.length = 0;
    canvas.show({ ...scene, cards: scene.cards.with(1, card('1', 160)) });
    expect(log).toEqual(['-1', '+1']);
    expect(canvas.core.getElementById('1').data('width')).toBe(160);
    expect(['0>1', '1>2', '2>3'].map((id) => wires()[id] === before[id])).toEqual([false, false, true]);
    canvas.show({
      ...scene,
      wires: [
        { ...scene.wires[0], weak: true },
        { ...scene.wires[1], fromY: 5 },
      ],
    });
    expect(Object.keys(wires())).toEqual(['0>1', '1>2']);
    expect(wires()['0>1'].wire.weak).toBe(true);
    expect(wires()['1>2'].path).not.toBe(before['1>2'].path);
    log.length = 0;
    canvas.show(chain(['0', '1']), true);
    expect(log).toHaveLength(4 + 2);
  });

  it('leaves out wires to cards that are not there until they come', () => {
    const { canvas, wires } = opened();
    const scene = chain(['0', '1']);
    canvas.show({ ...scene, cards: [scene.cards[0]], places: { '0': scene.places['0'] } }, true);
    expect(wires()).toEqual({});
    canvas.show(scene);
    expect(Object.keys(wires())).toEqual(['0>1']);
    canvas.show({ ...scene, cards: [scene.cards[1]], places: { '1': scene.places['1'] } });
    expect(wires()).toEqual({});
  });

  it('bends the wires of what is dragged, and lays it on the grid', () => {
    const { canvas, places, wires } = opened();
    canvas.show(chain(['0', '1', '2']), true);
    const before = wires();
    canvas.drag({ '0': { x: 7, y: 31 } }, '0');
    expect(wires()['0>1'].path).not.toBe(before['0>1'].path);
    expect(wires()['1>2']).toBe(before['1>2']);
    canvas.put(snapped(canvas.places, ['0']));
    expect(places()['0']).toEqual({ x: 12, y: 36 });
    expect(canvas.core.getElementById('0').position()).toEqual({ x: 12, y: 36 });
  });

  it('lays out what has no places, and turns to fill the canvas', () => {
    const { canvas, places } = opened({ turns: true });
    canvas.show({ ...chain(['0', '1', '2', '3', '4', '5', '6']), places: {} }, true);
    expect(new Set(Object.values(places()).map(({ y }) => y)).size).toBe(7); // 300 by 300 pixels: downwards
  });

  it('is fitted with the lanes of wires that lead back, and moved no further than it must', () => {
    const { canvas, places } = opened();
    const { core } = canvas;
    const long = chain(['0', '1', '2', '3', '4', '5']);
    canvas.show({ ...long, wires: [...long.wires, wire('5', '0')] }, true);
    expect(canvas.box().height).toBeGreaterThan(40);
    fit(core, canvas.box());
    expect(outOfView(core, canvas.box())).toBe(false);
    expect(fitOrShow(core, canvas.box(), places()['0'])).toBe(false); // all of it would be too small to read
    expect([core.zoom(), outOfView(core, canvas.box())]).toEqual([0.7, true]);
    const before = { ...core.pan() };
    bringIntoView(core, card('0'), places()['0']);
    expect(core.pan()).toEqual(before);
    bringIntoView(core, card('5'), places()['5']);
    expect(core.pan().x).toBeCloseTo(core.width() / 2 - 1_000 * 0.7);
    expect(fitOrShow(core, canvas.box(), undefined)).toBe(true);
  });
});
