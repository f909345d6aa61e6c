/** Branches through the controller: what they begin with, what they may change, and what is refused. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Controller } from '../controller.ts';
import type { Store } from '../workspace/store.ts';
import { config, openBench, untimed, type Bench } from './test-support.ts';

describe('runs that branch off a checkpoint', () => {
  let bench: Bench;
  let controller: Controller;
  let store: Store;
  beforeEach(async () => {
    bench = await openBench();
    ({ controller, store } = bench);
  });
  afterEach(() => bench.close());

  const branch = (change: object = {}) => controller.branch({ run: 'r', step: 2, id: 'b', ...change });
  const trained = async () => {
    await controller.begin({ ...config, settings: { ...config.settings, keepCheckpoints: 'all' } });
    await controller.settled('r');
  };

  it('come to the same numbers where nothing is changed, and keep their beginning', async () => {
    await trained();
    await branch();
    await controller.settled('b');
    expect(await untimed(store, 'b')).toEqual(await untimed(store, 'r'));
    const { config: frozen, checkpoints } = await controller.run('b');
    expect(frozen.from).toEqual({ run: 'r', step: 2, weights: { team: 'team' } });
    expect(frozen.title).toBe('Echo, shared, from step 2');
    expect(checkpoints).toMatchObject([
      { step: 2, eval: { n: 3 } },
      { step: 4, eval: { n: 3 } },
    ]);
    expect(checkpoints[0].bytes).toBeGreaterThan(0);
    expect((await controller.traces('b', { step: 2 })).total).toBe(0);
    expect((await controller.traces('b', { step: 3 })).total).toBeGreaterThan(0);
    await controller.branch({ run: 'b', step: 4, steps: 6, id: 'c' });
    await controller.settled('c');
    expect((await untimed(store, 'c')).map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect((await controller.run('c')).config.title).toBe('Echo, shared, from step 4');
  });

  it('take another cast, with the weights of who played its roles, and other settings', async () => {
    await trained();
    await branch({ cast: 'separate', steps: 5, evalEvery: 1, seed: 3, ppo: { lr: 1e-3 }, title: 'Mine' });
    await controller.settled('b');
    const { config: frozen, metrics } = await controller.run('b');
    expect(frozen).toMatchObject({ title: 'Mine', from: { weights: { solver: 'team' } } });
    expect(frozen.settings).toMatchObject({ steps: 5, evalEvery: 1, seed: 3, queries: 5, ppo: { lr: 1e-3 } });
    expect(metrics.map(({ policies }) => Object.keys(policies)[0])).toEqual([
      undefined,
      'team',
      'team',
      'solver',
      'solver',
      'solver',
    ]);
    await branch({ id: 'fresh', cast: 'separate', weights: { solver: null } });
    await controller.settled('fresh');
    expect((await controller.run('fresh')).config.from).toMatchObject({ weights: {} });
    await branch({ id: 'tuned', sft: { minScore: 0.5 }, steps: 3 });
    await controller.settled('tuned');
    expect((await controller.run('tuned')).config.settings).toMatchObject({ ppo: {}, sft: { minScore: 0.5 } });
  });

  it('keep what a policy had learned when it is frozen', async () => {
    await trained();
    const policy = { model: 'toy', method: { kind: 'full' as const }, frozen: true };
    const cast = {
      name: 'held',
      policies: { team: policy, other: { ...policy, frozen: false } },
      roles: { solver: 'team' },
    };
    await branch({ cast, weights: { other: null } });
    await controller.settled('b');
    expect((await controller.run('b')).state).toBe('done');
    expect((await controller.run('b')).config.from?.weights).toEqual({ team: 'team' });
    expect(await store.list('runs/b/checkpoints/000002/team')).toEqual(['weight']);
    expect(await store.list('runs/b/checkpoints/000004/team')).toEqual([]);
  });

  it('are refused with a sentence, and leave nothing behind', async () => {
    await trained();
    const lora = { name: 'l', policies: { team: { model: 'toy', method: { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj'] }, frozen: false } }, roles: { solver: 'team' } }; // prettier-ignore
    const refused: [object, RegExp][] = [
      [{ run: 'none' }, /No such run: none/],
      [{ step: 3 }, /no checkpoint of step 3; it has those of 2, 4/],
      [{ steps: 2 }, /cannot end at step 2; give a number of steps above 2/],
      [{ cast: 'nope' }, /No such cast: nope/],
      [
        { cast: lora },
        /trains an adapter of rank 4 on q_proj and cannot begin with the weights of team, which are all/,
      ],
      [{ weights: { solver: 'team' } }, /The cast shared has no policy solver/],
      [{ weights: { team: 'none' } }, /Run r has no policy none; it has team/],
      [{ ppo: { nope: 1 } }, /There is no setting nope/],
      [{ queries: 0 }, /Cannot branch with settings.queries/],
      [{ id: 'r' }, /There is a run of this name already/],
    ];
    for (const [change, sentence] of refused) {
      await expect(branch(change), String(sentence)).rejects.toThrow(sentence);
      await expect(branch(change)).rejects.toMatchObject({ name: 'UserError' });
    }
    expect(await store.list('runs')).toEqual(['r/']);
  });
});
