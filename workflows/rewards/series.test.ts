/** Rules that measure records against what came of them: own outputs, changes between turns, last values, test matrices. */
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { castSchema } from '../schema/cast.ts';
import { rewardsSchema } from '../schema/reward.ts';
import { traceSchema, type Trace } from '../schema/trace.ts';
import { rewardsOf } from '../run/test-support.ts';
import { assignRewards } from './assign.ts';

const cast = castSchema.parse({
  name: 'c',
  policies: { live: { model: 'm', method: { kind: 'full' } } },
  roles: { searcher: 'live', answerer: 'live' },
});

type Made = { id: string; parents?: string[]; outputs: Record<string, unknown>; tool?: boolean; length?: number };

function traceOf(made: Made[], answers = ['blue dog']): Trace {
  return traceSchema.parse({
    troupe: 'trace',
    version: 1,
    id: 't',
    workflow: 'w',
    phase: 'train',
    step: 1,
    status: 'done',
    score: {},
    query: { id: 'q', question: '?', answers },
    records: made.map(({ id, parents = [], outputs, tool, length = 1 }) => {
      const [node, place] = id.split('#');
      const [turn, index] = place.split('.').map(Number);
      const kept = {
        id,
        node,
        title: node,
        turn,
        parents,
        inputs: {},
        outputs,
        ...(index === undefined ? {} : { index }),
      };
      return tool
        ? { ...kept, kind: 'tool' }
        : { ...kept, kind: 'role', role: node, policy: 'live', trainable: true, legal: true, text: '', length };
    }),
  });
}

const give = (value: z.input<typeof rewardsSchema>['rules'][number]['value'], trace: Trace, roles?: string[]) =>
  assignRewards(
    { rewards: rewardsSchema.parse({ rules: [{ id: 'r', level: 'role', value, ...(roles ? { roles } : {}) }] }) },
    cast,
    trace,
  );

/** Two turns of search and answer after a first answer, then a search that led nowhere. F1: 0, 2/3, 1. */
const searching = traceOf([
  { id: 'answerer#0', outputs: { answer: 'red' } },
  { id: 'searcher#0', parents: ['answerer#0'], outputs: { query: 'x' } },
  { id: 'answerer#1', parents: ['searcher#0'], outputs: { answer: 'blue' } },
  { id: 'searcher#1', parents: ['answerer#1'], outputs: { query: 'y' } },
  { id: 'answerer#2', parents: ['searcher#1'], outputs: { answer: 'blue dog' } },
  { id: 'searcher#2', parents: ['answerer#2'], outputs: { query: '' } },
]);

describe('rules over series', () => {
  it('reward a record with its own output', () => {
    const trace = give({ kind: 'own', metric: 'f1', port: 'answer' }, searching, ['answerer']);
    expect(rewardsOf(trace)).toMatchObject({ 'answerer#0': 0, 'answerer#1': 0.666667, 'answerer#2': 1 });
    expect(trace.records[2].rewards[0]).toMatchObject({ rule: 'r', terms: { f1: 2 / 3, weight: 1 } });
  });

  it('reward a record with what it changed, and with nothing where nothing came of it', () => {
    const of = { role: 'answerer', port: 'answer' };
    const trace = give({ kind: 'change', of, metric: 'f1' }, searching, ['searcher']);
    expect(rewardsOf(trace)).toMatchObject({ 'searcher#0': 0.666667, 'searcher#1': 0.333333, 'searcher#2': 0 });
    expect(trace.records[3].rewards[0].terms).toEqual({ after: 1, before: 2 / 3, weight: 1 });
    const fromHalf = give({ kind: 'change', of, metric: 'f1', start: 0.5 }, searching, ['answerer']);
    expect(rewardsOf(fromHalf)['answerer#0']).toBe(-0.5);
  });

  it('follow descent, not the order in which a batch came back', () => {
    const later = traceOf([
      { id: 'searcher#0', outputs: { query: 'x' } },
      { id: 'searcher#1', parents: ['searcher#0'], outputs: { query: 'y' } },
      { id: 'answerer#0.0', parents: [], outputs: { answer: 'red' } },
      { id: 'answerer#0.1', parents: ['searcher#0'], outputs: { answer: 'blue' } },
      { id: 'answerer#0.2', parents: ['searcher#1'], outputs: { answer: 'blue dog' } },
    ]);
    const of = { node: 'answerer', port: 'answer' };
    expect(rewardsOf(give({ kind: 'change', of, metric: 'f1' }, later, ['searcher']))).toMatchObject({
      'searcher#0': 0.666667,
      'searcher#1': 0.333333,
    });
  });

  it('measure numbers without any gold answer, and texts only with one', () => {
    const rates = traceOf(
      [
        { id: 'searcher#0', outputs: { query: 'x' } },
        { id: 'test#0', parents: ['searcher#0'], outputs: { rate: 0.25, all: false }, tool: true },
        { id: 'answerer#0', parents: ['test#0'], outputs: { answer: 'x' } },
        { id: 'test#1', parents: ['answerer#0'], outputs: { rate: 1, all: true }, tool: true },
      ],
      [],
    );
    const of = { node: 'test', port: 'rate' };
    expect(rewardsOf(give({ kind: 'change', of, metric: 'value' }, rates))).toEqual({
      'searcher#0': 0.25,
      'answerer#0': 0.75,
    });
    expect(rewardsOf(give({ kind: 'last', of: { node: 'test', port: 'all' }, metric: 'value' }, rates))).toEqual({
      'searcher#0': 1,
      'answerer#0': 1,
    });
    expect(rewardsOf(give({ kind: 'own', metric: 'f1' }, rates, ['answerer']))).toEqual({
      'searcher#0': 0,
      'answerer#0': 0,
    });
    expect(
      rewardsOf(give({ kind: 'last', of: { node: 'nope', port: 'x' }, metric: 'value', start: 0.5 }, rates)),
    ).toEqual({
      'searcher#0': 0.5,
      'answerer#0': 0.5,
    });
  });

  it('say which rule cannot be computed, and why', () => {
    expect(() => give({ kind: 'own', metric: 'value' }, searching)).toThrow(
      'The reward r cannot be computed. A number is needed, but the value is "red"',
    );
    expect(() => give({ kind: 'own', metric: 'bleu' }, searching)).toThrow('no such measure: bleu');
    expect(() => give({ kind: 'own', metric: 'f1', port: 'nope' }, searching)).toThrow('absent');
    const rules = rewardsSchema.parse({
      rules: [{ id: 'r', level: 'trajectory', value: { kind: 'own', metric: 'f1' } }],
    });
    expect(() => assignRewards({ rewards: rules }, cast, searching)).toThrow('give it level role or turn');
  });
});

describe('rules over a test matrix', () => {
  const matrixTrace = (passed: unknown, truth: unknown) =>
    traceOf([
      { id: 'answerer#0.0', outputs: { program: 'a' } },
      { id: 'answerer#0.1', outputs: { program: 'b' } },
      { id: 'searcher#0.0', outputs: { test: 'x' }, length: 20 },
      { id: 'searcher#0.1', outputs: { test: 'y' }, length: 10 },
      { id: 'grid#0', outputs: { passed }, tool: true },
      { id: 'truth#0', outputs: { passed: truth }, tool: true },
    ]);
  const grid = matrixTrace([[true, true], [false, true]], [[true], [false]]); // prettier-ignore
  const of = { matrix: { node: 'grid', port: 'passed' }, truth: { node: 'truth', port: 'passed' } };

  it('reward each row’s and each column’s own record', () => {
    const programs = give({ kind: 'cure', side: 'programs', ...of }, grid, ['answerer']);
    expect(rewardsOf(programs)).toMatchObject({ 'answerer#0.0': 1, 'answerer#0.1': -1 });
    const tests = give({ kind: 'cure', side: 'tests', ...of }, grid, ['searcher']);
    expect(rewardsOf(tests)).toMatchObject({ 'searcher#0.0': 1, 'searcher#0.1': -1 });
    const simple = give({ kind: 'cure', side: 'tests', scheme: 'simple', lambda: 0.01, ...of }, grid, ['searcher']);
    expect(rewardsOf(simple)).toMatchObject({ 'searcher#0.0': 0.8, 'searcher#0.1': 0.4 });
    const both = give({ kind: 'cure', side: 'programs', scheme: 'simple', ...of }, grid, ['answerer']);
    expect(rewardsOf(both)).toMatchObject({ 'answerer#0.0': 1.5, 'answerer#0.1': 0.25 });
  });

  it('take a record out of the update where nothing is known of it', () => {
    const none = give({ kind: 'cure', side: 'tests', ...of }, matrixTrace([[true], [false]], [[false], [false]]), [
      'searcher',
    ]);
    expect(Object.keys(rewardsOf(none))).toEqual(['answerer#0.0', 'answerer#0.1']);
    expect(none.records[2].rewards).toEqual([]);
    expect(() => give({ kind: 'cure', side: 'tests', ...of }, matrixTrace([1], [[true]]))).toThrow(
      'needs a list of flags for each program, but grid.passed holds [1]',
    );
  });
});
