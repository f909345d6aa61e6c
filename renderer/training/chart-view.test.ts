import { describe, expect, it } from 'vitest';
import { ChartView, dragged, zoomed } from './chart-view.svelte.ts';

const steps = { from: 0, to: 60, whole: true };
const times = { from: 0, to: 600_000, whole: false };

describe('the view of charts', () => {
  it('takes whole steps that were dragged over, either way, and no less than two', () => {
    expect(dragged(3.2, 9.7, steps)).toEqual([3, 10]);
    expect(dragged(9.7, -4, steps)).toEqual([0, 10]);
    expect(dragged(58.5, 99, steps)).toEqual([58, 60]);
    expect(dragged(5, 6, steps)).toBeNull();
  });
  it('halves and doubles around a step within the run', () => {
    expect(zoomed(null, 30, steps, 'in')).toEqual([15, 45]);
    expect(zoomed([15, 45], 15, steps, 'in')).toEqual([8, 23]);
    expect(zoomed(null, 60, steps, 'in')).toEqual([30, 60]);
    expect(zoomed([15, 45], 30, steps, 'out')).toBeNull();
    expect(zoomed([20, 22], 21, steps, 'in')).toEqual([20, 22]);
  });
  it('takes a stretch of time as it was dragged over, and no less than a second', () => {
    expect(dragged(60_300.5, 20_000, times)).toEqual([20_000, 60_300.5]);
    expect(dragged(-5, 700_000, times)).toEqual([0, 600_000]);
    expect(dragged(1_000, 1_900, times)).toBeNull();
    expect(zoomed(null, 450_000, times, 'in')).toEqual([300_000, 600_000]);
    expect(zoomed([0, 1_500], 0, times, 'in')).toEqual([0, 1_500]);
    expect(zoomed([100_000, 300_001], 200_000, { ...times, from: 50_000 }, 'out')).toEqual([50_000, 450_002]);
  });
  it('shows all of an axis that is new, and keeps the choices', () => {
    const view = new ChartView({ reach: 15, axis: 'time', log: ['kl'] });
    view.range = [1_000, 5_000];
    view.axis = 'time';
    expect(view.range).toEqual([1_000, 5_000]);
    view.axis = 'clock';
    view.toggleLog('kl');
    view.toggleLog('gradient');
    expect([view.range, view.isLog('kl'), view.isLog('gradient')]).toEqual([null, false, true]);
    expect(view.choices).toEqual({ reach: 15, axis: 'clock', log: ['gradient'] });
  });
  it('leaves lines out and takes them back', () => {
    const view = new ChartView();
    view.toggle('a');
    view.toggle('b');
    view.toggle('a');
    view.range = [1, 5];
    expect([...view.hidden]).toEqual(['b']);
    view.all();
    expect([view.range, view.hidden.size]).toEqual([null, 0]);
  });
});
