/**
 * The solutions that come with HumanEval (Python) and HumanEval-X (JavaScript), run against their own tests: what a sandbox
 * must be able to run for scores to mean anything. Source: Chen et al. 2021; Zheng et al. 2023.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import './register.node.ts';
import type { Language } from './program.ts';
import { runProgram } from './run.ts';

const shared = process.env.TROUPE_SHARED ?? path.resolve(import.meta.dirname, '../../../../shared');

type Problem = { task_id: string; prompt: string; canonical_solution: string; test: string; entry_point: string };

function problems(file: string): Problem[] | null {
  const full = path.join(shared, 'data/tasks', file);
  if (!existsSync(full)) return null;
  const bytes = readFileSync(full);
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Problem);
}

async function failures(language: Language, tasks: readonly Problem[], testOf: (task: Problem) => string) {
  const limits = { timeMs: 30_000, memoryBytes: 256 * 2 ** 20, outputChars: 1_000 };
  const failed: Record<string, string | null> = {};
  for (const task of tasks) {
    const program = task.prompt + task.canonical_solution;
    const { ok, error } = await runProgram(language, { program, test: testOf(task), data: 'null', limits });
    if (!ok) failed[task.task_id] = error;
  }
  return failed;
}

const python = problems('humaneval/HumanEval.jsonl.gz');
const javascript = problems('humaneval/humaneval_x_js.jsonl.gz');
const why = `no HumanEval in ${shared}/data/tasks`;

describe('the benchmarks’ own solutions', { timeout: 600_000 }, () => {
  it.skipIf(python === null)(`all 164 of HumanEval pass in Python${python === null ? ` (${why})` : ''}`, async () => {
    expect(await failures('python', python!, (task) => `${task.test}\ncheck(${task.entry_point})`)).toEqual({});
    expect(python!.length).toBe(164);
  });

  it.skipIf(javascript === null)(
    `161 of 164 of HumanEval-X pass in JavaScript${javascript === null ? ` (${why})` : ''}`,
    async () => {
      const failed = await failures('javascript', javascript!, (task) => task.test);
      expect(javascript!.length - Object.keys(failed).length, JSON.stringify(failed)).toBe(161);
    },
  );
});
