import { describe, expect, it } from 'vitest';
import { castSchema } from '../../workflows/schema/cast.ts';
import { emptyForm, isSetupForm, problemsOf, requestOf, trainedPolicies } from './setup.ts';

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
    const request = requestOf(
      { ...emptyForm, steps: '20', queries: ' 64 ', lr: '3e-4', whiten: 'role', method: 'lora', rank: '8' },
      null,
    );
    expect(request).toMatchObject({
      steps: 20,
      queries: 64,
      ppo: { lr: 3e-4, whiten: 'role' },
      method: { kind: 'lora', rank: 8, alpha: 32 },
    });
  });
  it('lets tools read the web only where that was ticked', () => {
    expect(requestOf(emptyForm, null)).not.toHaveProperty('web');
    expect(requestOf({ ...emptyForm, web: 'yes' }, null).web).toBe(true);
  });
  it('asks for rounds of fine-tuning, with what belongs to them alone', () => {
    const form = { ...emptyForm, learn: 'sft', samples: '4', minScore: '0.5', lr: '1e-3', whiten: 'role' } as const;
    const request = requestOf(form, null);
    expect(request).toMatchObject({ samples: 4, sft: { lr: 1e-3, minScore: 0.5 } });
    expect(request.ppo).toBeUndefined();
    expect(requestOf({ ...emptyForm, learn: 'sft' }, null).sft).toEqual({});
    expect(Object.keys(problemsOf({ ...form, minScore: '2', epochs: '0' })).sort()).toEqual(['epochs', 'minScore']);
    expect(problemsOf({ ...form, learn: 'ppo', minScore: '2', epochs: '0' })).toEqual({});
  });
  it('names each wrong field', () => {
    expect(problemsOf(emptyForm)).toEqual({});
    expect(Object.keys(problemsOf({ ...emptyForm, steps: '0', seed: '', lr: 'fast', queries: '1.5' })).sort()).toEqual([
      'lr',
      'queries',
      'seed',
      'steps',
    ]);
    expect(problemsOf({ ...emptyForm, rank: '999' })).toEqual({});
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
    expect(isSetupForm({ ...emptyForm, seed: 1 })).toBe(false);
    expect(isSetupForm({ ...emptyForm, learn: 'magic' })).toBe(false);
    expect(isSetupForm(null)).toBe(false);
  });
});
