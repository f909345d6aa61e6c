import { describe, expect, it } from 'vitest';
import {
  bytes,
  clockTime,
  count,
  duration,
  elapsed,
  metric,
  score,
  shortened,
  signed,
  valueText,
  when,
} from './format.ts';

describe('format', () => {
  it('writes sizes and counts', () => {
    expect(bytes(0)).toBe('0 B');
    expect(bytes(1_500_000)).toBe('1.5 MB');
    expect(bytes(999_999)).toBe('1.0 MB');
    expect(count(1_234_567)).toBe('1.23 M');
    expect(count(134_515_008)).toBe('135 M');
    expect(count(4_968)).toBe('4,968');
  });
  it('writes signs with a real minus and none for zero', () => {
    expect(signed(-0.5)).toBe('−0.50');
    expect(signed(0.25)).toBe('+0.25');
    expect(signed(-0.001)).toBe('0.00');
    expect(signed(undefined)).toBe('–');
    expect(score(Number.NaN)).toBe('–');
  });
  it('keeps metrics short at every size', () => {
    expect(metric(0.00002)).toBe('2.0e-5');
    expect(metric(0.0123)).toBe('0.0123');
    expect(metric(12_345)).toBe('12,345');
  });
  it('writes durations and dates', () => {
    expect(duration(42_400)).toBe('42 s');
    expect(duration(61 * 60_000)).toBe('1 h 01 min');
    expect([0, 1_400, 59_600, 200_400, 3_599_600, 7_500_000].map(elapsed)).toEqual([
      ...['0 s', '1.4 s', '60 s', '3 min 20 s', '1 h 00 min', '2 h 05 min'],
    ]);
    expect(clockTime(new Date('2026-11-21T14:02:09').getTime())).toBe('21 Nov 14:02:09');
    expect(when('2026-11-21T14:02:00', new Date('2026-11-21T20:00:00'))).toBe('today 14:02');
    expect(when('not a date')).toBe('not a date');
  });
  it('shows values as text', () => {
    expect(valueText(['a', 'b'])).toBe('a\nb');
    expect(valueText([{ title: 'Mira', text: 'lives in Ost' }])).toBe('Mira: lives in Ost');
    expect(valueText({ n: 1 })).toBe('{\n "n": 1\n}');
    expect(shortened('one  two\nthree', 8)).toBe('one two…');
  });
});
