/** The code teams with the bundled model: they train for a few steps, their tests really run, their traces are whole. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StepMetrics } from '../../workflows/schema/run.ts';
import { testMatrixOf } from '../../renderer/traces/test-matrix.ts';
import { traceSchema, type Trace } from '../../workflows/schema/trace.ts';
import { openNodeStore } from '../../workflows/workspace/store.node.ts';
import { listTraces } from '../../workflows/workspace/trace-index.ts';
import { readTrace } from '../../workflows/workspace/traces.ts';
import { root, runTerminal } from '../program.ts';

const nano = existsSync(path.join(root, 'models/nano/model.safetensors'));

describe.skipIf(!nano)('village-code with nano', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-village-code-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Without a task: it is the one these teams are for. */
  async function trained(template: string, steps: number): Promise<{ steps: StepMetrics[]; traces: Trace[] }> {
    const workspace = path.join(folder, template);
    const sizes = ['--steps', String(steps), '--queries', '8', '--eval-limit', '40', '--eval-every', String(steps)];
    const { code, out, err } = await runTerminal([
      ...['train', template, '--model', 'nano', '--device', 'wasm', '--json', '--seed', '1'],
      ...[...sizes, '--workspace', workspace],
    ]);
    expect(code, err).toBe(0);
    const events = out.trimEnd().split('\n');
    const store = openNodeStore(workspace);
    const [run] = await readdir(path.join(workspace, 'runs'));
    const { rows } = await listTraces(store, run, { step: 1 });
    const traces = await Promise.all(rows.map(({ id }) => readTrace(store, run, id)));
    for (const trace of traces) traceSchema.parse(trace);
    return {
      steps: events
        .map((line) => JSON.parse(line) as StepMetrics & { event: string })
        .filter(({ event }) => event === 'step'),
      traces,
    };
  }

  it('plans, codes, verifies and reflects, with room to learn', async () => {
    const { steps, traces } = await trained('plan-code-verify-reflect', 2);
    const [before, first] = steps;
    expect(before.eval).toMatchObject({ metric: 'passed', n: 40 });
    expect(before.eval!.score).toBeGreaterThan(0.05);
    expect(before.eval!.score).toBeLessThan(0.75);
    expect(before.eval!.rounds).toBeGreaterThan(1.5);
    expect(first.rollout).toMatchObject({ queries: 8, dropped: 0 });
    expect(Object.keys(first.roles).sort()).toEqual(['coder', 'planner', 'reflector']);
    for (const { records, score } of traces) {
      const tested = records.filter(({ node }) => node === 'verify');
      expect(score['rounds']).toBe(tested.length);
      const rates = tested.map(({ outputs }) => outputs['rate'] as number);
      const gains = rates.map((rate, turn) => rate - (rates[turn - 1] ?? 0));
      const coded = records.filter(({ node }) => node === 'code');
      expect(coded.map(({ rewards }) => rewards.find(({ rule }) => rule === 'gain')!.value)).toEqual(
        gains.map((gain) => expect.closeTo(gain, 9) as number),
      );
      expect(score['passed']).toBe(rates.at(-1) === 1 ? 1 : 0);
    }
    expect(traces.some(({ records }) => records.some(({ node }) => node === 'reflect'))).toBe(true);
  }, 240_000);

  it('meets programs with tests', async () => {
    const { steps, traces } = await trained('coder-verifier', 3);
    expect(steps.map(({ step }) => step)).toEqual([0, 1, 2, 3]);
    for (const { records } of traces) {
      const grid = records.find(({ node }) => node === 'grid')!;
      const matrix = grid.outputs['passed'] as boolean[][];
      expect(matrix.map((row) => row.length)).toEqual([4, 4, 4, 4]);
      expect(testMatrixOf(grid)?.runs.map(({ passed }) => passed)).toEqual(matrix);
    }
    const cells = traces.flatMap(({ records }) =>
      (records.find(({ node }) => node === 'grid')!.outputs['passed'] as boolean[][]).flat(),
    );
    expect(new Set(cells)).toEqual(new Set([true, false]));
  }, 240_000);
});
