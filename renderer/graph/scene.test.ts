import { describe, expect, it } from 'vitest';
import { arrange, bestDirection, bounds, layOut } from './scene.ts';
import { card, cards, wires } from './testing.ts';

describe('scene', () => {
  it('lays a chain out from left to right, loops included', () => {
    const { places } = layOut(cards, wires);
    expect(places.a.x).toBeLessThan(places.b.x);
    expect(places.b.x).toBeLessThan(places.c.x);
  });
  it('keeps what a person placed and puts new cards below', () => {
    const fixed = { a: { x: 5, y: 6 }, b: { x: 300, y: 80 } };
    const { places } = arrange({ cards, wires, places: fixed });
    expect(places.a).toEqual(fixed.a);
    expect(places.c.y - 20).toBeGreaterThanOrEqual(80 + 40 - 1e-9);
  });
  it('ignores wires to cards that are not there', () => {
    expect(Object.keys(layOut(cards, [...wires, { id: '4', from: 'a', to: 'ghost' }]).places)).toEqual(['a', 'b', 'c']);
  });
  it('turns a long chain to the way that fills the canvas', () => {
    const scene = { cards, wires, places: {} };
    expect(bestDirection(scene, undefined, 1_000, 100)).toBe('LR');
    expect(bestDirection(scene, undefined, 150, 600)).toBe('TB');
    const { places } = layOut(cards, wires, undefined, 'TB');
    expect(places.a.y).toBeLessThan(places.b.y);
  });
  it('bounds all cards', () => {
    expect(bounds([card('a'), card('b')], { a: { x: 0, y: 0 }, b: { x: 200, y: 100 } })).toEqual({
      x: -50,
      y: -20,
      width: 300,
      height: 140,
    });
  });
});
