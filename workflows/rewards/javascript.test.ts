/** Rewards as functions, in the real sandbox: what they see, and that no function outlives its limits or says anything but a number. */
import { beforeAll, describe, expect, it } from 'vitest';
import { castSchema } from '../schema/cast.ts';
import { rewardsSchema, type Rewards } from '../schema/reward.ts';
import { traceSchema, type Trace } from '../schema/trace.ts';
import { settleRewards } from './javascript.ts';

const cast = castSchema.parse({
  name: 'c',
  policies: {
    live: { model: 'm', method: { kind: 'full' } },
    ice: { model: 'm', method: { kind: 'full' }, frozen: true },
  },
  roles: { writer: 'live', judge: 'ice' },
});
const record = (id: string, turn: number, text: string, policy = 'live') => ({
  id: `${id}#${turn}`,
  node: id,
  kind: 'role' as const,
  title: id,
  turn,
  parents: [],
  inputs: {},
  outputs: { answer: text },
  role: policy === 'live' ? 'writer' : 'judge',
  policy,
  text,
  legal: true,
  length: text.length,
});
const trace = (answers: string[] = ['blue dog']): Trace =>
  traceSchema.parse({
    troupe: 'trace',
    version: 1,
    id: 't',
    workflow: 'w',
    phase: 'train',
    step: 1,
    status: 'done',
    answer: 'blue',
    score: answers.length === 0 ? {} : { f1: 0.5, em: 0 },
    query: { id: 'q', question: '?', answers },
    records: [record('write', 0, 'abc'), record('judge', 0, 'no', 'ice'), record('write', 1, 'abcdef')],
  });

const rules = (...sources: (string | object)[]): { rewards: Rewards } => ({
  rewards: rewardsSchema.parse({
    formatWeight: 0,
    rules: sources.map((source, i) => ({
      id: `r${i}`,
      level: 'role',
      value: { kind: 'javascript', ...(typeof source === 'string' ? { source } : source) },
    })),
  }),
});
const rewardsOf = async (workflow: { rewards: Rewards }, of = trace()) =>
  (await settleRewards(workflow, cast, of)).records.map(({ reward }) => reward);

beforeAll(() => import('../tools/sandbox/register.node.ts'));

describe('a reward in JavaScript', () => {
  it('sees what a CEL reward sees, gives each trained record its number, and keeps it as a term', async () => {
    const workflow = rules(
      '({ record, previous, next, score, query, answer, records }) => record.length + (previous?.length ?? 0) * 10 + (next === null ? 100 : 0)',
      'function reward({ record, records }) { return records.indexOf(record) === 2 }',
    );
    const settled = await settleRewards(workflow, cast, trace());
    expect(settled.records.map(({ reward }) => reward)).toEqual([3, undefined, 6 + 30 + 100 + 1]);
    expect(settled.records[2].rewards[0]).toEqual({
      level: 'role',
      rule: 'r0',
      value: 136,
      terms: { value: 136, weight: 1 },
    });
  });

  it('is weighed and shared like any other', async () => {
    const workflow = rules('({ score, query, answer }) => score.f1 + (query.answers[0].includes(answer) ? 1 : 0)');
    Object.assign(workflow.rewards.rules[0], { level: 'trajectory', share: 'split', weight: 2 });
    expect(await rewardsOf(workflow)).toEqual([1.5, undefined, 1.5]);
  });

  it('gives nothing to a question without gold answers where it reads them', async () => {
    expect(await rewardsOf(rules('({ score }) => score.f1'), trace([]))).toEqual([0, undefined, 0]);
    expect(await rewardsOf(rules('({ record }) => record.length'), trace([]))).toEqual([3, undefined, 6]);
  });

  it.each<[string, string | object, RegExp]>([
    ['no function', '7', /r0 cannot be computed. Its function failed: .*not a function/],
    ['no JavaScript', '({ score }) =>', /r0 cannot be computed.*SyntaxError/],
    ['a throw', '() => { throw new Error("my fault") }', /my fault/],
    ['a name that is not there', '({ record }) => record.nope.length', /cannot be computed/],
    ['a text', '() => "9"', /must be a number .* gives \["9"/],
    ['nothing', '() => {}', /must be a number .* gives \[null/],
    ['not a number', '() => 0 / 0', /must be a number/],
    ['without end', '() => Infinity', /must be a number/],
    ['a huge number', '() => 1e9', /must be a number from -1000000 to 1000000/],
    ['a promise', 'async () => 1', /must be a number/],
    ['an endless loop', { source: '() => { for (;;); }', timeMs: 200 }, /still running after 200 ms/],
    [
      'a memory bomb',
      { source: '() => { const a = []; for (;;) a.push("x".repeat(1e6)) }', memoryMb: 32, timeMs: 5_000 },
      /out of memory|still running/,
    ],
    ['endless recursion', '() => { const f = () => f() + 1; return f() }', /stack|recursion|cannot be computed/],
    ['a way to the host', '() => process.exit(1)', /process/],
    ['a module', '() => require("node:fs").readFileSync("/etc/passwd").length', /no module/],
    ['the network', '() => fetch("http://127.0.0.1")', /fetch/],
    ['a closing bracket and its own output', '() => 1); console.log("[5,5]"); throw new Error("out"); (0', /out/],
    ['printing for ever', { source: '() => { for (;;) console.log("x".repeat(1000)) }', timeMs: 300 }, /still running/],
    ['another stringify', '() => { JSON.stringify = () => "[[[1]]]"; return 1 }', /must be a number/],
  ])(
    'is refused with one sentence: %s',
    async (_, source, sentence) => {
      await expect(rewardsOf(rules(source))).rejects.toThrow(sentence);
    },
    30_000,
  );

  it('cannot reach another run of it', async () => {
    const sly = rules('() => { globalThis.seen = (globalThis.seen ?? 0) + 1; return globalThis.seen }');
    expect(await rewardsOf(sly)).toEqual([1, undefined, 2]);
    expect(await rewardsOf(sly)).toEqual([1, undefined, 2]);
  });
});
