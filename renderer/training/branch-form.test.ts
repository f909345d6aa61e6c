import { describe, expect, it } from 'vitest';
import { castSchema } from '../../workflows/schema/cast.ts';
import { workflowSchema } from '../../workflows/schema/workflow.ts';
import { presetCast } from '../../workflows/train/cast.ts';
import { configOf, twoStepWorkflow } from '../../workflows/train/test-support.ts';
import { branchProblems, branchRequest, emptyBranch, learnedPolicies, weightChoices } from './branch-form.ts';

const workflow = workflowSchema.parse(twoStepWorkflow);
const shared = { ...configOf(), workflow, cast: presetCast(workflow, 'shared', 'toy', { kind: 'full' }) };
const separate = { ...shared, cast: presetCast(workflow, 'separate', 'toy', { kind: 'full' }) };
const form = { ...emptyBranch(2), title: ' ' };

describe('the branch form', () => {
  it('sends what was filled in and nothing else', () => {
    expect(branchRequest(form, shared, null)).toEqual({ run: 'r', step: 2 });
    expect(
      branchRequest(
        { ...form, title: 'Slow', run: { steps: '9', seed: '3' }, learning: { lr: '1e-5', whiten: 'role' } },
        shared,
        null,
      ),
    ).toEqual({ run: 'r', step: 2, title: 'Slow', steps: 9, seed: 3, ppo: { lr: 1e-5, whiten: 'role' } });
    const tuned = { ...shared, settings: { ...shared.settings, sft: {} as never } };
    expect(branchRequest({ ...form, learning: { lr: '1e-5', whiten: 'role' } }, tuned, null)).toMatchObject({
      sft: { lr: 1e-5 },
    });
  });
  it('splits a shared policy into two that begin alike, and lets either begin untrained', () => {
    const split = { ...form, cast: 'separate' };
    expect(weightChoices(split, shared, null)).toEqual([
      { policy: 'first', roles: ['first'], chosen: 'team' },
      { policy: 'last', roles: ['last'], chosen: 'team' },
    ]);
    expect(branchRequest({ ...split, weights: { last: '' } }, shared, null)).toMatchObject({
      cast: 'separate',
      weights: { first: 'team', last: null },
    });
  });
  it('joins two policies into one that begins as the first, or as the other', () => {
    const joined = { ...form, cast: 'shared' };
    expect(weightChoices(joined, separate, null)).toEqual([
      { policy: 'team', roles: ['first', 'last'], chosen: 'first' },
    ]);
    expect(branchRequest({ ...joined, weights: { team: 'last' } }, separate, null).weights).toEqual({ team: 'last' });
  });
  it('takes the cast board, and knows which policies have learned', () => {
    const policy = { model: 'toy', method: { kind: 'full' as const } };
    const board = castSchema.parse({
      name: 'board',
      policies: { first: { ...policy, frozen: true }, last: policy },
      roles: { first: 'first', last: 'last' },
    });
    expect(branchRequest({ ...form, cast: 'board' }, separate, board)).toMatchObject({ cast: board });
    expect(weightChoices({ ...form, cast: 'board' }, separate, null)).toEqual([]);
    expect(learnedPolicies({ ...separate, cast: board })).toEqual(['last']);
    const from = { run: 'x', step: 2, weights: { first: 'first' } };
    expect(learnedPolicies({ ...separate, cast: board, from })).toEqual(['first', 'last']);
  });
  it('names each wrong field', () => {
    expect(branchProblems(form, shared)).toEqual({ run: {}, learning: {} });
    const wrong = { ...form, run: { steps: '2', seed: 'x' }, learning: { lr: '20', whiten: 'team' } };
    const { run, learning } = branchProblems(wrong, shared);
    expect(Object.keys(run).sort()).toEqual(['seed', 'steps']);
    expect(run.steps).toContain('above 2');
    expect(Object.keys(learning)).toEqual(['whiten', 'lr']);
    expect(branchProblems({ ...form, run: { steps: '3' } }, shared).run).toEqual({});
  });
});
