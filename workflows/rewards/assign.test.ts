import { describe, expect, it } from 'vitest';
import { castSchema } from '../schema/cast.ts';
import { rewardsSchema } from '../schema/reward.ts';
import { traceSchema, type Trace } from '../schema/trace.ts';
import type { z } from 'zod';
import { assignRewards } from './assign.ts';

const cast = castSchema.parse({
  name: 'c',
  policies: {
    live: { model: 'm', method: { kind: 'full' } },
    ice: { model: 'm', method: { kind: 'full' }, frozen: true },
  },
  roles: { planner: 'live', answerer: 'live', judge: 'ice' },
});

const record = (node: string, role: string, turn: number, text: string, legal = true, policy = 'live') => ({
  id: `${node}#${turn}`,
  node,
  kind: 'role' as const,
  title: node,
  turn,
  parents: [],
  inputs: {},
  outputs: { answer: text },
  role,
  policy,
  trainable: policy === 'live',
  text,
  legal,
  length: text.length,
});

const trace: Trace = traceSchema.parse({
  troupe: 'trace',
  version: 1,
  id: 't',
  workflow: 'w',
  phase: 'train',
  step: 1,
  status: 'done',
  answer: 'blue cat',
  score: { f1: 0.5, em: 0 },
  query: { id: 'q', question: '?', answers: ['blue dog'] },
  records: [
    { id: 'ask#0', node: 'ask', kind: 'input', title: 'ask', turn: 0, parents: [], inputs: {}, outputs: {} },
    record('plan', 'planner', 0, 'search'),
    record('answer', 'answerer', 0, 'red'),
    record('judge', 'judge', 0, 'bad', true, 'ice'),
    record('answer', 'answerer', 1, 'blue cat', false),
  ],
});

const assign = (rewards: z.input<typeof rewardsSchema>, given = trace) =>
  assignRewards({ rewards: rewardsSchema.parse(rewards) }, cast, given);
const rewardOf = (given: Trace, id: string) => given.records.find((each) => each.id === id)?.reward;

describe('assignRewards', () => {
  it('gives an outcome in full to every trained record, minus the format', () => {
    const result = assign({ rules: [{ id: 'outcome', level: 'trajectory', value: { kind: 'score', metric: 'f1' } }] });
    expect(['plan#0', 'answer#0', 'answer#1', 'judge#0', 'ask#0'].map((id) => rewardOf(result, id))).toEqual([
      0.5,
      0.5,
      -0.5,
      undefined,
      undefined,
    ]);
    expect(result.records[4].rewards).toEqual([
      { level: 'trajectory', rule: 'outcome', value: 0.5, terms: { f1: 0.5, weight: 1 } },
      { level: 'role', rule: 'format', value: -1, terms: { format: -1, weight: 1 } },
    ]);
    expect(traceSchema.parse(JSON.parse(JSON.stringify(result)))).toEqual(result);
  });

  it('splits an outcome among those who receive it', () => {
    const result = assign({
      rules: [
        {
          id: 'outcome',
          level: 'trajectory',
          share: 'split',
          roles: ['answerer'],
          weight: 2,
          value: { kind: 'score', metric: 'f1' },
        },
      ],
      formatWeight: 0.25,
    });
    expect(['plan#0', 'answer#0', 'answer#1'].map((id) => rewardOf(result, id))).toEqual([0, 0.5, 0.25]);
  });

  it('gives a role or one turn of it its own value', () => {
    const result = assign({
      rules: [
        {
          id: 'own',
          level: 'role',
          roles: ['answerer'],
          value: { kind: 'cel', expression: 'f1(record.text, query.answers)' },
        },
        {
          id: 'short',
          level: 'role',
          roles: ['planner'],
          value: { kind: 'cel', expression: 'record.length < 10 ? 0.25 : 0' },
        },
        { id: 'second', level: 'turn', turn: 1, value: { kind: 'cel', expression: '10' } },
      ],
      formatWeight: 0,
    });
    expect(['plan#0', 'answer#0', 'answer#1'].map((id) => rewardOf(result, id))).toEqual([0.25, 0, 10.5]);
  });

  it('lets a rule look one turn back: the gain in F1', () => {
    const gain =
      'f1(record.outputs.answer, query.answers) - (previous == null ? 0 : f1(previous.outputs.answer, query.answers))';
    const result = assign({
      rules: [{ id: 'gain', level: 'turn', roles: ['answerer'], value: { kind: 'cel', expression: gain } }],
      formatWeight: 0,
    });
    expect(['answer#0', 'answer#1'].map((id) => rewardOf(result, id))).toEqual([0, 0.5]);
  });

  it('counts a condition as 1 or 0, over all records', () => {
    const result = assign({
      rules: [{ id: 'clean', level: 'trajectory', value: { kind: 'cel', expression: 'records.all(r, r.legal)' } }],
      formatWeight: 0,
    });
    expect(rewardOf(result, 'plan#0')).toBe(0);
  });

  it('gives a dropped trace nothing and replaces what an earlier rule gave', () => {
    const once = assign({ rules: [{ id: 'outcome', level: 'trajectory', value: { kind: 'score', metric: 'f1' } }] });
    const again = assign({ rules: [] }, once);
    expect(again.records[1].rewards.map((each) => each.rule)).toEqual(['format']);
    const dropped = assign({ rules: [] }, { ...once, status: 'dropped' });
    expect(dropped.records.every((each) => each.reward === undefined && each.rewards.length === 0)).toBe(true);
  });

  it('names the rule that cannot be computed', () => {
    expect(() =>
      assign({ rules: [{ id: 'odd', level: 'trajectory', value: { kind: 'score', metric: 'bleu' } }] }),
    ).toThrow('odd reads a score that the task does not give: bleu');
    expect(() =>
      assign({ rules: [{ id: 'odd', level: 'role', value: { kind: 'cel', expression: 'record.nope' } }] }),
    ).toThrow('The reward odd cannot be computed');
    expect(() =>
      assign({ rules: [{ id: 'odd', level: 'role', value: { kind: 'cel', expression: '"text"' } }] }),
    ).toThrow('must be a number');
  });

  it('gives a question without gold answers its format terms alone', () => {
    const asked = { ...trace, score: {}, query: { ...trace.query, answers: [] } };
    const result = assign(
      { rules: [{ id: 'outcome', level: 'trajectory', value: { kind: 'score', metric: 'f1' } }] },
      asked,
    );
    expect(['plan#0', 'answer#1'].map((id) => rewardOf(result, id))).toEqual([0, -1]);
  });
});
