import { describe, expect, it } from 'vitest';
import { castSchema } from '../../workflows/schema/cast.ts';
import { emptyForm, isSetupForm, problemList, problemsOf, requestOf, trainedPolicies } from './setup.ts';

describe('set-up form', () => {
  it('leaves defaults to the controller', () => {
    expect(requestOf(emptyForm, null)).toEqual({
      workflow: 'qd-answer',
      task: 'village-qa',
      model: 'nano',
      method: { kind: 'full' },
      cast: 'shared',
      seed: 1,
    });
  });
  it('sends what was filled in, as numbers', () => {
    const form = {
      ...emptyForm,
      title: ' Slow ',
      method: 'lora' as const,
      rank: '8',
      run: { seed: '1', steps: '20', queries: ' 64 ', branch: 'best', keepCheckpoints: 'all' },
      ppo: { lr: '3e-4', whiten: 'role', 'kl.coef': '0.01', clip: '' },
      sft: { minScore: '0.5' },
    };
    expect(requestOf(form, null)).toMatchObject({
      title: 'Slow',
      steps: 20,
      queries: 64,
      branch: 'best',
      keepCheckpoints: 'all',
      method: { kind: 'lora', rank: 8, alpha: 32 },
    });
    expect(requestOf(form, null).ppo).toEqual({ lr: 3e-4, whiten: 'role', 'kl.coef': 0.01 });
    expect(requestOf(form, null).sft).toBeUndefined();
    expect(requestOf({ ...form, run: { seed: '1', branch: 'true' } }, null).branch).toBe(true);
  });
  it('asks for what is to be less exact, and for nothing else', () => {
    const form = { ...emptyForm, precision: { weights: 'q8', keys: undefined, activations: 'f16' } as const };
    expect(requestOf(form, null)).toMatchObject({ weights: 'q8', activations: 'f16' });
    expect(requestOf(form, null)).not.toHaveProperty('keys');
  });
  it('lets tools read the web only where that was ticked', () => {
    expect(requestOf(emptyForm, null)).not.toHaveProperty('web');
    expect(requestOf({ ...emptyForm, web: 'yes' }, null).web).toBe(true);
  });
  it('asks for rounds of fine-tuning, with what belongs to them alone', () => {
    const form = {
      ...emptyForm,
      learn: 'sft' as const,
      run: { seed: '1', samples: '4' },
      ppo: { whiten: 'role', lr: 'fast' },
      sft: { minScore: '0.5', lr: '1e-3', legal: 'false' },
    };
    const request = requestOf(form, null);
    expect(request).toMatchObject({ samples: 4, sft: { lr: 1e-3, minScore: 0.5, legal: false } });
    expect(request.ppo).toBeUndefined();
    expect(requestOf({ ...emptyForm, learn: 'sft' }, null).sft).toEqual({});
    expect(problemList(problemsOf(form))).toEqual([]);
    const wrong = { ...form, sft: { minScore: '2', epochs: '0', consistency: 'both' } };
    expect(Object.keys(problemsOf(wrong).learning).sort()).toEqual(['epochs', 'minScore']);
    expect(problemsOf({ ...wrong, learn: 'ppo', ppo: {} }).learning).toEqual({});
  });
  it('names each wrong field', () => {
    expect(problemList(problemsOf(emptyForm))).toEqual([]);
    const wrong = { ...emptyForm, run: { steps: '0', seed: '', queries: '1.5' }, ppo: { lr: 'fast', group: 'team' } };
    const { run, learning } = problemsOf(wrong);
    expect(Object.keys(run).sort()).toEqual(['queries', 'seed', 'steps']);
    expect(run.queries).toBe('Questions a step must be a whole number from 1 to 4,096.');
    expect(learning.lr).toContain('from 0 to 10');
    expect(learning.group).toContain('role+turn');
    expect(problemsOf({ ...emptyForm, rank: '999' }).rank).toBeUndefined();
    expect(problemsOf({ ...emptyForm, method: 'lora', rank: '999' }).rank).toContain('256');
  });
  it('takes the cast board with its own models', () => {
    const board = castSchema.parse({
      name: 'board',
      policies: { a: { model: 'm', method: { kind: 'full' } } },
      roles: { x: 'a' },
    });
    expect(requestOf({ ...emptyForm, cast: 'board' }, board)).toMatchObject({ model: 'm', cast: board });
    expect(requestOf({ ...emptyForm, cast: 'board' }, null).cast).toBe('shared');
  });
  it('counts the policies it would train', () => {
    const policy = { model: 'm', method: { kind: 'full' as const } };
    const board = castSchema.parse({
      name: 'board',
      policies: { a: policy, b: { ...policy, frozen: true } },
      roles: { x: 'a', y: 'b' },
    });
    const workflow = { roles: { x: {}, y: {}, z: {} }, casts: { kept: board } } as never;
    const counted = ['shared', 'separate', 'kept', 'board'].map((cast) =>
      trainedPolicies({ ...emptyForm, cast }, workflow, board),
    );
    expect(counted).toEqual([1, 3, 1, 1]);
  });
  it('recognises only whole remembered forms', () => {
    expect(isSetupForm(JSON.parse(JSON.stringify(emptyForm)))).toBe(true);
    expect(isSetupForm({ ...emptyForm, model: 1 })).toBe(false);
    expect(isSetupForm({ ...emptyForm, run: { seed: 1 } })).toBe(false);
    expect(isSetupForm({ ...emptyForm, learn: 'magic' })).toBe(false);
    expect(isSetupForm({ ...emptyForm, precision: { keys: 'f16' } })).toBe(true);
    expect(isSetupForm({ ...emptyForm, precision: { keys: 'q8' } })).toBe(false);
    expect(isSetupForm({ ...emptyForm, precision: 'f16' })).toBe(false);
    expect(isSetupForm(null)).toBe(false);
  });
});
