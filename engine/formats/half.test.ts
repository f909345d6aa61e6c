import { describe, expect, it } from 'vitest';
import { bfloatToFloat, floatToHalf, halfTable, halfToFloat } from './half.ts';

describe('half precision', () => {
  it('knows the landmarks of the format', () => {
    const table = halfTable();
    expect([table[0x3c00], table[0xc000], table[0x7bff], table[1], table[0x0400]]).toEqual([
      1,
      -2,
      65504,
      2 ** -24,
      2 ** -14,
    ]);
    expect(table[0x7c00]).toBe(Infinity);
    expect(table[0x7e00]).toBeNaN();
    expect(Object.is(table[0x8000], -0)).toBe(true);
  });

  it('writes every half it can read', () => {
    const table = halfTable();
    for (let bits = 0; bits < 65536; bits++)
      if (!Number.isNaN(table[bits])) expect(floatToHalf(table[bits])).toBe(bits);
    expect(floatToHalf(NaN) & 0x7c00).toBe(0x7c00);
    expect(floatToHalf(NaN) & 0x3ff).not.toBe(0);
  });

  it('rounds to the nearest, ties to even', () => {
    const table = halfTable();
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [low, high] = [table[bits], table[bits + 1]];
      const middle = (low + high) / 2;
      expect(floatToHalf(middle)).toBe(bits % 2 === 0 ? bits : bits + 1);
      expect(floatToHalf(low + (middle - low) * 0.99)).toBe(bits);
    }
    expect(floatToHalf(65520)).toBe(0x7c00);
    expect(floatToHalf(65519.99)).toBe(0x7bff);
    expect(floatToHalf(2 ** -26)).toBe(0);
  });

  it('converts arrays of little-endian bytes', () => {
    const halves = new Float32Array(2);
    halfToFloat(Uint8Array.of(0x00, 0x3c, 0x00, 0xc0), halves);
    expect([...halves]).toEqual([1, -2]);
    const brains = new Float32Array(2);
    bfloatToFloat(Uint8Array.of(0x80, 0x3f, 0x40, 0xc0), brains);
    expect([...brains]).toEqual([1, -3]);
  });
});
