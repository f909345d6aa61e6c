import { describe, expect, it } from 'vitest';
import { runBatch } from '../run/runner.ts';
import { castSchema } from '../schema/cast.ts';
import type { Json, Values } from '../schema/value.ts';
import { workflowSchema } from '../schema/workflow.ts';
import { openTool } from './index.ts';
import './sandbox/register.node.ts';
import { ToolError } from './tool.ts';

const context = { corpus: null, paragraphs: [] };
const run = (tool: string, inputs: Values, settings: Record<string, Json> = {}): Promise<Values> =>
  Promise.resolve().then(() =>
    openTool({ id: 'it', kind: 'tool', title: '', timeoutMs: 1_000, tool, settings }).run(inputs, context),
  );

describe('majority-vote', () => {
  it('counts answers that are the same after normalisation, the first of equals winning', async () => {
    expect(await run('majority-vote', { answers: ['Oakton', 'a cat', 'The cat!', '', 'CAT', 'Oakton.'] })).toEqual({
      answer: 'a cat',
      share: 0.6,
    });
    expect(await run('majority-vote', { answers: ['b', 'a', 'a', 'b'] })).toEqual({ answer: 'b', share: 0.5 });
    expect(await run('majority-vote', { answers: 'one' })).toEqual({ answer: 'one', share: 1 });
  });

  it('refuses to count nothing', async () => {
    await expect(run('majority-vote', { answers: [' '] })).rejects.toThrow('no answers to count');
    await expect(run('majority-vote', { answers: 3 })).rejects.toThrow('list of texts');
  });
});

describe('javascript', () => {
  it('gives what the program prints', async () => {
    expect(await run('javascript', { program: 'console.log(data.n * 2)', data: { n: 21 } })).toEqual({
      output: '42',
      error: '',
    });
  });

  it('fails with what was printed so far', async () => {
    const failure = await run('javascript', { program: 'console.log("a"); x' }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ToolError);
    expect((failure as ToolError).outputs).toEqual({ output: 'a', error: expect.stringMatching(/^ReferenceError/) });
    await expect(run('javascript', { program: 'for(;;);' }, { timeMs: 50 })).rejects.toThrow(
      'still running after 50 ms',
    );
    await expect(run('javascript', { program: 1 })).rejects.toThrow('needs a text as its program');
  });
});

describe('unit-tests', () => {
  it('runs each test alone with its own time', async () => {
    const program = 'let calls = 0; function sum(a, b) { calls++; while (a === 9); return a + b; }';
    const tests = [
      'sum(1, 2); assert.equal(calls, 1)',
      'assert.equal(sum(1, 2), 4)',
      'sum(9, 9)',
      'assert.equal(calls, 0)',
    ];
    expect(await run('unit-tests', { program, tests }, { timeMs: 1_000 })).toEqual({
      passed: [true, false, false, true],
      rate: 0.5,
      errors: ['', 'AssertionError: 3 is not 4 (test, line 1)', 'stopped: still running after 1000 ms', ''],
      report:
        '2 of 4 tests pass.\nTest 2 fails: AssertionError: 3 is not 4 (test, line 1)\nTest 3 fails: stopped: still running after 1000 ms',
    });
  });

  it('tells of five failures at most', async () => {
    const { report } = await run('unit-tests', { program: '', tests: Array<string>(7).fill('x') });
    expect((report as string).split('\n')).toHaveLength(7);
    expect(report).toMatch(/\n2 more fail\.$/);
  });

  it('refuses no tests, too many, and what is none', async () => {
    await expect(run('unit-tests', { program: '', tests: [] })).rejects.toThrow('no test to run');
    await expect(run('unit-tests', { program: '', tests: Array<string>(257).fill('') })).rejects.toThrow(
      'Too many tests: 257',
    );
    await expect(run('unit-tests', { program: '', tests: [1] })).rejects.toThrow('list of texts');
  });
});

describe('in a flow', () => {
  it('a program that breaks its limits is a recorded error, and what it printed flows on', async () => {
    const workflow = workflowSchema.parse({
      troupe: 'workflow',
      version: 1,
      name: 'runs-code',
      title: 'Runs code',
      roles: {},
      nodes: [
        { id: 'ask', kind: 'input', outputs: [{ name: 'question', type: 'text' }] },
        { id: 'code', kind: 'tool', tool: 'javascript', settings: { timeMs: 100 } },
        { id: 'result', kind: 'output', inputs: [{ name: 'answer', type: 'text' }] },
      ],
      edges: [
        { from: { node: 'ask', port: 'question' }, to: { node: 'code', port: 'program' } },
        { from: { node: 'code', port: 'output' }, to: { node: 'result', port: 'answer' } },
      ],
      rewards: { rules: [] },
    });
    const programs = ['console.log("so far"); throw new Error("no")', 'for (;;);'];
    const traces = await runBatch({
      workflow,
      cast: castSchema.parse({ name: 'none', policies: {}, roles: {} }),
      queries: programs.map((question, i) => ({ id: `q${i}`, question, answers: [] })),
      task: { corpus: null },
      phase: 'run',
      step: 0,
      seed: 0,
      generate: async () => [],
    });
    expect(traces.map((trace) => [trace.status, trace.answer])).toEqual([
      ['done', 'so far'],
      ['done', ''],
    ]);
    expect(traces[0].records[1].error).toMatch(/^Error: no/);
    expect(traces[1].records[1].outputs['error']).toBe('stopped: still running after 100 ms');
  });
});
