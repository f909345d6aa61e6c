import { describe, expect, it } from 'vitest';
import { QUESTIONS } from '../../workflows/workspace/layout.ts';
import { sampleTrace } from '../testing/fixture-controller.ts';
import { lastTrace } from './last-trace.ts';

describe('the last trace of a team', () => {
  const kept: Record<string, { id: string; workflow: string }[]> = {
    [QUESTIONS]: [
      { id: '9-run-q', workflow: 'other' },
      { id: '8-run-q', workflow: 'mine' },
    ],
    newer: [{ id: '30-train-a', workflow: 'trained' }],
  };
  const api = {
    traces: async (run: string) => ({ total: 0, rows: (kept[run] ?? []) as never[], means: null }),
    trace: async (run: string, id: string) => ({ ...sampleTrace(0), ...kept[run].find((one) => one.id === id) }),
  };
  const runs = [
    { id: 'empty', workflow: 'trained', step: 0 },
    { id: 'newer', workflow: 'trained', step: 30 },
  ];

  it('is its newest question, else the newest of its newest run, else none', async () => {
    expect((await lastTrace(api, runs, 'mine'))?.id).toBe('8-run-q');
    expect((await lastTrace(api, runs, 'trained'))?.id).toBe('30-train-a');
    expect(await lastTrace(api, runs, 'new')).toBeNull();
  });
});
