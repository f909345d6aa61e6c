import { describe, expect, it } from 'vitest';
import type { RunSummary } from '../../workflows/protocol.ts';
import { measuredHere, measuredLike, plannedBytes, type Planned } from './estimate.ts';

const planned: Planned = { workflow: 'w', model: 'nano', method: 'full', policies: 1, queries: undefined };
const run = (created: string, more: Partial<RunSummary> = {}): RunSummary => ({ id: created, title: created, created, workflow: 'w', cast: 'shared', task: 't', model: 'nano', step: 4, steps: 4, state: 'done', before: null, latest: null, seed: 1, trained: { method: 'full', policies: 1, queries: 32 }, measured: { device: 'here', peakBytes: 500, stepMs: 20 }, ...more }); // prettier-ignore

describe('the estimate', () => {
  it('counts each further policy’s own weights and moments', () => {
    const info = { parameters: 100, memory: { run: 1, trainFull: 5_000, trainLora: 2_000 } };
    expect(plannedBytes(info, planned)).toBe(5_000);
    expect(plannedBytes(info, { ...planned, policies: 3 })).toBe(7_400);
    expect(plannedBytes(info, { ...planned, method: 'lora', policies: 3 })).toBe(2_000);
  });
  it('of a team on Home is what its newest run here took, however it was trained', () => {
    const lora = { method: 'lora', policies: 2, queries: 8 } as const;
    const newer = run('2026-02', { trained: lora, measured: { device: 'here', peakBytes: 7, stepMs: 30 } });
    const elsewhere = run('2026-03', { measured: { device: 'there', peakBytes: 9, stepMs: 9 } });
    const runs = [run('2026-01'), newer, elsewhere];
    expect(measuredHere(runs, 'w', 'here')).toEqual({ stepMs: 30, queries: 8, model: 'nano' });
    expect([measuredHere(runs, 'other', 'here'), measuredHere([], 'w', 'here')]).toEqual([null, null]);
  });
  it('is corrected by the newest run like it on the same device', () => {
    const newer = run('2026-02', { measured: { device: 'here', peakBytes: 700, stepMs: 30 } });
    const runs = [run('2026-01'), newer, run('2026-03', { measured: { device: 'there', peakBytes: 9, stepMs: 9 } })];
    expect(measuredLike(runs, planned, 'here')).toEqual({ title: '2026-02', peakBytes: 700, stepMs: 30 });
    expect(measuredLike(runs, { ...planned, queries: 64 }, 'here')).toMatchObject({ peakBytes: 700, stepMs: null });
    expect(measuredLike(runs, { ...planned, queries: 32 }, 'here')).toMatchObject({ stepMs: 30 });
  });
  it('is left alone by runs that are not like it or were not measured', () => {
    const { measured: _, ...bare } = run('2026-05');
    const others = [
      run('2026-04', { model: 'other' }),
      run('2026-04', { trained: { method: 'lora', policies: 1, queries: 32 } }),
      bare,
    ];
    expect(measuredLike(others, planned, 'here')).toBeNull();
    expect(measuredLike([run('2026-01')], { ...planned, policies: 2 }, 'here')).toBeNull();
  });
});
