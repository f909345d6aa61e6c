import { describe, expect, it } from 'vitest';
import { ChartView, dragged, zoomed } from './chart-view.svelte.ts';

describe('the view of charts', () => {
  it('takes whole steps that were dragged over, either way, and no less than two', () => {
    expect(dragged(3.2, 9.7, 60)).toEqual([3, 10]);
    expect(dragged(9.7, -4, 60)).toEqual([0, 10]);
    expect(dragged(58.5, 99, 60)).toEqual([58, 60]);
    expect(dragged(5, 6, 60)).toBeNull();
  });
  it('halves and doubles around a step within the run', () => {
    expect(zoomed(null, 30, 60, 'in')).toEqual([15, 45]);
    expect(zoomed([15, 45], 15, 60, 'in')).toEqual([8, 23]);
    expect(zoomed(null, 60, 60, 'in')).toEqual([30, 60]);
    expect(zoomed([15, 45], 30, 60, 'out')).toBeNull();
    expect(zoomed([20, 22], 21, 60, 'in')).toEqual([20, 22]);
  });
  it('leaves lines out and takes them back', () => {
    const view = new ChartView();
    view.toggle('a');
    view.toggle('b');
    view.toggle('a');
    view.steps = [1, 5];
    expect([...view.hidden]).toEqual(['b']);
    view.all();
    expect([view.steps, view.hidden.size]).toEqual([null, 0]);
  });
});
