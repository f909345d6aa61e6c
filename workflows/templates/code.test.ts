/** The teams that write programs, on scripted models and a scripted sandbox: flow and rewards against tables worked by hand. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { castOf, recordOf, rewardsOf, runOne, scripted } from '../run/test-support.ts';
import type { Trace } from '../schema/trace.ts';
import type { Query } from '../tasks/task.ts';
import { resolveCast } from '../train/cast.ts';
import { templateWorkflow } from './index.ts';

const sandbox = vi.hoisted(() => ({
  /** By program: the tests it passes, or what it prints. */
  passes: {} as Record<string, string[]>,
  prints: {} as Record<string, (data: string) => string>,
}));
vi.mock('../tools/sandbox/run.ts', () => ({
  runProgram: async (
    _language: string,
    { program, test, data }: { program: string; test: string | null; data: string },
  ) => {
    // A search program stands behind its library.
    const printed = Object.entries(sandbox.prints).find(([own]) => program === own || program.endsWith(` ${own}`))?.[1];
    const ok = test === null ? printed !== undefined : (sandbox.passes[program] ?? []).includes(test);
    return { ok, output: ok && test === null ? printed!(data) : '', error: ok ? null : 'it fails', ms: 1 };
  },
}));

const query: Query = {
  id: 'x',
  question: 'Double a number.',
  answers: ['right'],
  values: { tests: ['h1', 'h2', 'h3', 'h4'], example_tests: ['h1', 'e2', 'e3', 'e4'] },
};

/** Each node says its texts one after the other. */
async function act(template: string, texts: Record<string, string[]>, asked = query): Promise<Trace> {
  const at: Record<string, number> = {};
  const { generate } = scripted((node) => {
    at[node] = (at[node] ?? -1) + 1;
    return texts[node][at[node]];
  });
  const corpus = [{ title: 'Mira', text: 'lives in Oakton.' }];
  const trace = await runOne(templateWorkflow(template), asked, generate, { task: { corpus } });
  expect(trace.reason).toBeUndefined();
  return trace;
}

beforeEach(() => {
  sandbox.passes = {};
  sandbox.prints = {};
});

describe('Plan → Code → Verify → Reflect', () => {
  const texts = {
    plan: ['<pseudocode>a</pseudocode>', '<pseudocode>b</pseudocode>', '<pseudocode>c</pseudocode>'],
    code: ['<code>one</code>', '<code>two</code>', '<code>right</code>'],
    reflect: ['<reflection>x</reflection>', 'no tags'],
  };

  it('rewards pass rates of .25, .5 and 1 as what each role gained', async () => {
    sandbox.passes = { one: ['h1'], two: ['h1', 'h2'], right: ['h1', 'h2', 'h3', 'h4'] };
    const trace = await act('plan-code-verify-reflect', texts);
    expect(trace.records.filter(({ kind }) => kind === 'role' || kind === 'tool').map(({ id }) => id)).toEqual([
      ...['plan#0', 'code#0', 'verify#0'],
      ...['reflect#0', 'plan#1', 'code#1', 'verify#1'],
      ...['reflect#1', 'plan#2', 'code#2', 'verify#2'],
    ]);
    expect(rewardsOf(trace)).toEqual({
      'plan#0': 0.25, // p_0
      'code#0': 0.25,
      'reflect#0': 0.25, // p_1 - p_0
      'plan#1': 0.25,
      'code#1': 0.25,
      'reflect#1': -0.5, // p_2 - p_1 = .5, and -1 for its format
      'plan#2': 0.5,
      'code#2': 0.5,
    });
    expect(recordOf(trace, 'reflect#1').rewards[0].terms).toEqual({ after: 1, before: 0.5, weight: 1 });
    expect(trace.answer).toBe('right');
    expect(recordOf(trace, 'plan#1').inputs).toMatchObject({ program: 'one', reflection: 'x' });
    expect(recordOf(trace, 'reflect#0').inputs['report']).toContain('1 of 4 tests pass.');
  });

  it('shows three examples and hides the tests', async () => {
    sandbox.passes = { one: ['h1', 'h2', 'h3', 'h4'] };
    const trace = await act('plan-code-verify-reflect', texts);
    expect(trace.records.filter(({ kind }) => kind === 'role').map(({ id }) => id)).toEqual(['plan#0', 'code#0']);
    expect(rewardsOf(trace)).toEqual({ 'plan#0': 1, 'code#0': 1 });
    expect(recordOf(trace, 'code#0').inputs['visible']).toEqual(['h1', 'e2', 'e3']);
    expect(recordOf(trace, 'plan#0').prompt?.at(-1)?.content).not.toContain('h2');
  });

  it('ends after three turns without a last reflection', async () => {
    const trace = await act('plan-code-verify-reflect', {
      ...texts,
      reflect: Array(2).fill(texts.reflect[0]) as string[],
    });
    expect(trace.records.filter(({ node }) => node === 'reflect').length).toBe(2);
    expect(trace.records.filter(({ node }) => node === 'verify').length).toBe(3);
    expect(trace.answer).toBe('right');
    expect(new Set(Object.values(rewardsOf(trace)))).toEqual(new Set([0]));
  });

  it('runs eight tests at most, takes one text as one test, and goes on where there are none', async () => {
    const rateOf = async (tests: Query['values']) => {
      sandbox.passes = { one: ['t0', 'check()'], two: [], right: [] };
      const trace = await act('plan-code-verify-reflect', texts, { ...query, values: tests });
      return recordOf(trace, 'verify#0').outputs['rate'];
    };
    expect(await rateOf({ tests: Array.from({ length: 10 }, (_, i) => `t${i}`) })).toBe(1 / 8);
    expect(await rateOf({ tests: 'check()', example_tests: '' })).toBe(1);
    expect(await rateOf({})).toBe(0);
  });
});

describe('Coder–Verifier', () => {
  const [p0, p1, p2, p3] = ['a', 'b', 'c', 'd'];
  const texts = {
    code: [p0, p1, p2, p3].map((program) => `<code>${program}</code>`),
    'write-tests': ['t0', 't1', 't2', 't3'].map((test) => `<test>${test}</test>`),
  };
  const cured: Query = { ...query, values: { tests: ['h1', 'h2'] } };
  // a and b are right, c passes one of the task's tests, d none. Of the written tests: t0 is passed by the right ones alone,
  // t1 by one right and one wrong, t2 by both right and one wrong, t3 by all.
  const passes = {
    a: ['h1', 'h2', 't0', 't1', 't2', 't3'],
    b: ['h1', 'h2', 't0', 't2', 't3'],
    c: ['h1', 't1', 't2', 't3'],
    d: ['t3'],
  };

  it('keeps the matrix, takes the program that passes most, and signs and scales', async () => {
    sandbox.passes = passes;
    const trace = await act('coder-verifier', texts, cured);
    expect(recordOf(trace, 'grid#0').outputs['passed']).toEqual([
      [true, true, true, true],
      [true, false, true, true],
      [false, true, true, true],
      [false, false, false, true],
    ]);
    expect((recordOf(trace, 'grid#0').outputs['errors'] as string[][])[3][0]).toBe('it fails');
    expect(trace.answer).toBe(p0);
    // Programs: 1, 1, 1/2, 0. Tests: +1, -1/2, +1/2, 0.
    expect(rewardsOf(trace)).toEqual({
      'code#0.0': 0.904534,
      'code#0.1': 0.904534,
      'code#0.2': -0.301511,
      'code#0.3': -1.507557,
      'write-tests#0.0': 1.341641,
      'write-tests#0.1': -1.341641,
      'write-tests#0.2': 0.447214,
      'write-tests#0.3': -0.447214,
    });
    expect(recordOf(trace, 'write-tests#0.1').rewards[0].terms).toMatchObject({ sign: -1, scale: 0.5 });
  });

  it('has no verifier sample where no program is right', async () => {
    sandbox.passes = { a: ['h1'], b: ['h2'], c: [], d: ['t0'] };
    const trace = await act('coder-verifier', texts, cured);
    expect(Object.keys(rewardsOf(trace))).toEqual(['code#0.0', 'code#0.1', 'code#0.2', 'code#0.3']);
    expect(trace.answer).toBe(p3);
  });
});

describe('Planner–Executor', () => {
  const flow = templateWorkflow('planner-executor');

  it('does one task after the other until the planner answers', async () => {
    sandbox.prints = { look: (data) => (JSON.parse(data) as { passages: { text: string }[] }).passages[0].text };
    const trace = await act(
      'planner-executor',
      {
        plan: ['<task>Mira’s town</task>', '<task>again</task>', '<answer>right</answer>'],
        execute: ['<code>look</code>', '<code>throw 1</code>'],
      },
      query,
    );
    expect(recordOf(trace, 'plan#2').inputs['findings']).toEqual(['lives in Oakton.', 'The program failed: it fails']);
    expect(trace.answer).toBe('right');
    expect(Object.values(rewardsOf(trace))).toEqual([1, 1, 1, 1, 1]);
  });

  it('answers with its last finding after three turns', async () => {
    sandbox.prints = { look: () => 'right' };
    const trace = await act('planner-executor', {
      plan: Array(3).fill('<task>x</task>') as string[],
      execute: Array(3).fill('<code>look</code>') as string[],
    });
    expect(trace.answer).toBe('right');
  });

  it('may train the executor alone, with the planner frozen on the model chosen for the run', async () => {
    const lora = { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj'] } as const;
    const cast = resolveCast(flow, 'executor', 'nano', { ...lora, targets: [...lora.targets] });
    expect(cast.policies).toEqual({
      planner: { model: 'nano', method: lora, frozen: true },
      executor: { model: 'nano', method: lora, frozen: false },
    });
    sandbox.prints = { look: () => 'right' };
    const { generate } = scripted((node) => (node === 'plan' ? '<task>x</task>' : '<code>look</code>'));
    const trace = await runOne(flow, query, generate, { cast, task: { corpus: [{ title: '', text: 'x' }] } });
    expect(Object.keys(rewardsOf(trace))).toEqual(['execute#0', 'execute#1', 'execute#2']);
    expect(Object.keys(castOf(flow).policies)).toEqual(['main']);
  });
});
