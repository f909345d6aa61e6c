/** Every team that ships trains for three steps on the bundled model, on its own task, and what it did is kept whole. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StepMetrics } from '../../workflows/schema/run.ts';
import { traceSchema, type Trace } from '../../workflows/schema/trace.ts';
import { templateNames } from '../../workflows/templates/index.ts';
import { openNodeStore } from '../../workflows/workspace/store.node.ts';
import { listTraces } from '../../workflows/workspace/trace-index.ts';
import { readTrace } from '../../workflows/workspace/traces.ts';
import { root, runTerminal } from '../program.ts';

const nano = existsSync(path.join(root, 'models/nano/model.safetensors'));

/** Of the schema, with parents that stand before their children, and with tokens and a reward wherever something was learned. */
function expectWhole(trace: Trace): void {
  traceSchema.parse(trace);
  const seen = new Set<string>();
  for (const { id, parents, kind, trainable, tokens, reward, length = 0 } of trace.records) {
    expect(
      parents.filter((parent) => !seen.has(parent)),
      `${trace.id} ${id}`,
    ).toEqual([]);
    expect(seen.has(id), id).toBe(false);
    seen.add(id);
    if (kind !== 'role') continue;
    expect(tokens?.ids.length, id).toBe(length);
    if (trainable && reward !== undefined && trace.phase === 'train' && trace.status === 'done')
      for (const name of ['logprobs', 'oldLogprobs', 'newLogprobs', 'advantages', 'returns'] as const) {
        const numbers = tokens![name] ?? [];
        expect(numbers.length, `${id} ${name}`).toBe(length);
        expect(numbers.every(Number.isFinite), `${id} ${name}`).toBe(true);
      }
  }
}

describe.skipIf(!nano)('every template', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-templates-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(templateNames)(
    '%s trains for three steps and keeps valid traces',
    async (template) => {
      const workspace = path.join(folder, template);
      const { code, out, err } = await runTerminal([
        ...['train', template, '--steps', '3', '--queries', '4', '--eval-limit', '4', '--eval-every', '3'],
        ...['--device', 'wasm', '--seed', '1', '--json', '--workspace', workspace],
      ]);
      expect(code, err).toBe(0);
      const steps = out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as StepMetrics & { event: string })
        .filter(({ event }) => event === 'step');
      expect(steps.map(({ step }) => step)).toEqual([0, 1, 2, 3]);
      const trained = steps.slice(1);
      for (const { rollout, roles, policies } of trained) {
        expect(rollout).toMatchObject({ queries: 4, dropped: 0 });
        for (const [role, measures] of Object.entries(roles)) {
          expect(measures, role).toMatchObject({
            records: expect.any(Number) as number,
            legal: expect.any(Number) as number,
            'tokens/share': expect.any(Number) as number,
          });
        }
        // Zero where all rewards were equal; a role of few records may stand in the second mini-batch alone.
        expect(Object.values(roles).some((measures) => Number.isFinite(measures['gradient/norm']))).toBe(true);
        expect(Object.values(policies).every((measures) => Number.isFinite(measures['losses/approx_kl']))).toBe(true);
      }
      const store = openNodeStore(workspace);
      const [run] = await readdir(path.join(workspace, 'runs'));
      const { total, rows } = await listTraces(store, run, { limit: 100 });
      expect(total).toBe(4 * 5);
      for (const { id } of rows) expectWhole(await readTrace(store, run, id));
    },
    240_000,
  );
});
