/** Jobs through the controller, with an engine that can be lost and a workspace that can be damaged. */
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createController, type Controller } from './controller.ts';
import { config, hostOf, openBench, untimed, type Bench } from './controller/test-support.ts';
import type { Job } from './protocol.ts';
import { echoWorkflow } from './train/test-support.ts';
import { unheard } from './unheard.ts';
import { bytesOf, paths } from './workspace/layout.ts';
import { openNodeStore } from './workspace/store.node.ts';
import type { Store } from './workspace/store.ts';

describe('jobs', () => {
  let bench: Bench;
  let controller: Controller;
  let store: Store;
  let place: Bench['place'];
  let jobs: Job[];
  let notices: string[];
  const open = () => bench.open();
  const lines = () => untimed(store, 'r');
  const undisturbed = async () => {
    const other = openNodeStore(path.join(bench.folder, 'undisturbed'));
    const alone = createController(hostOf(other).host, unheard);
    await alone.begin(config);
    await alone.settled('r');
    return untimed(other, 'r');
  };

  beforeEach(async () => {
    bench = await openBench();
    ({ controller, store, place, jobs, notices } = bench);
  });
  afterEach(() => bench.close());

  it('pause when the device is lost, and go on to the same numbers on a fresh one', async () => {
    place.atUpdate((step) => {
      if (step === 2) place.lose();
    });
    await controller.begin(config);
    await controller.settled('r');
    expect((await controller.run('r')).state).toBe('paused');
    expect(notices.join()).toContain('driver reset');
    place.atUpdate(() => {});
    await controller.resume('r');
    await controller.settled('r');
    expect((await controller.run('r')).state).toBe('done');
    expect(await lines()).toEqual(await undisturbed());
  });

  it('are told of memory again when they are resumed, and refused beyond what they may take', async () => {
    const GIB = 2 ** 30;
    place.plan(2 * GIB);
    place.atUpdate((step) => {
      if (step === 2) place.lose();
    });
    await controller.begin({ ...config, settings: { ...config.settings, memoryGiB: 4 } });
    await controller.settled('r');
    place.atUpdate(() => {});
    place.plan(8 * GIB);
    await expect(controller.resume('r')).rejects.toThrow('up to 8.00 GiB of device memory and may take 4.00');
    expect((await controller.run('r')).state).toBe('paused');
    place.plan(2 * GIB);
    await controller.resume('r');
    await controller.settled('r');
    expect(notices.join()).toContain('Device memory at most 2.00 GiB');
    expect((await controller.run('r')).state).toBe('done');
  });

  it('can be resumed the moment they are paused', async () => {
    const resumed = new Promise<void>((resolve, reject) => {
      place.atUpdate((step) => step === 1 && void controller.pause('r').catch(reject));
      const timer = setInterval(() => {
        if (jobs.at(-1)?.state !== 'paused') return;
        clearInterval(timer);
        place.atUpdate(() => {});
        controller.resume('r').then(resolve, reject);
      }, 1);
    });
    await controller.begin(config);
    await resumed;
    await controller.settled('r');
    expect((await controller.run('r')).state).toBe('done');
    expect(await lines()).toEqual(await undisturbed());
  });

  it('of a process that died are paused when the next one looks', async () => {
    await controller.begin({ ...config, settings: { ...config.settings, steps: 2 } });
    await controller.settled('r');
    await store.write(paths.state('r'), bytesOf('{"state":"running","step":1}'));
    const [found] = await open().runs();
    expect(found).toMatchObject({ id: 'r', state: 'paused' });
  });

  it('wait in line while another trains, and cannot be removed meanwhile', async () => {
    await controller.begin(config);
    await controller.begin({ ...config, id: 'second' });
    await controller.begin({ ...config, id: 'third' });
    expect((await controller.jobs()).map(({ run, state }) => [run, state])).toEqual([
      ['r', expect.stringMatching(/starting|running/)],
      ['second', 'queued'],
      ['third', 'queued'],
    ]);
    await expect(controller.removeRun('r')).rejects.toThrow('Run r is training; stop it first');
    await expect(controller.removeRun('second')).rejects.toThrow('Run second is waiting to train; stop it first');
    await expect(controller.begin({ ...config, id: 'second' })).rejects.toThrow('Run second is waiting to train');
    await controller.resume('third');
    await controller.settled('second');
    const done = jobs.filter(({ state }) => state === 'done').map(({ run }) => run);
    expect([...new Set(done)]).toEqual(['r', 'third', 'second']);
    const alone = await undisturbed();
    expect(await untimed(store, 'second')).toEqual(alone);
  });

  it('hold the line while one is paused, and leave it when stopped', async () => {
    place.atUpdate((step) => step === 1 && void controller.pause('r'));
    await controller.begin(config);
    for (const id of ['second', 'third']) await controller.begin({ ...config, id });
    await controller.settled('r');
    await controller.stop('second');
    await controller.settled('second');
    expect((await controller.jobs()).map(({ run, state }) => [run, state])).toEqual([
      ['r', 'paused'],
      ['second', 'stopped'],
      ['third', 'queued'],
    ]);
    place.atUpdate(() => {});
    await controller.resume('r');
    await controller.settled('third');
    expect((await controller.runs()).map(({ id, state }) => [id, state]).sort()).toEqual([
      ['r', 'done'],
      ['second', 'stopped'],
      ['third', 'done'],
    ]);
  });

  it('wait again, in their order, when the process before this one ended', async () => {
    for (const id of ['b', 'a']) {
      await store.write(paths.config(id), bytesOf(JSON.stringify({ ...config, id })));
      await store.write(paths.state(id), bytesOf('{"state":"queued","step":0}'));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect((await controller.jobs()).map(({ run, state }) => [run, state])).toEqual([
      ['b', 'queued'],
      ['a', 'queued'],
    ]);
    await controller.resume('a');
    await controller.settled('b');
    expect((await controller.jobs()).map(({ state }) => state)).toEqual(['done', 'done']);
  });

  it('run one after the other when two begin in the same moment', async () => {
    await Promise.all([controller.begin(config), controller.begin({ ...config, id: 'second' })]);
    expect((await controller.jobs()).filter(({ state }) => state === 'queued')).toHaveLength(1);
    await Promise.all([controller.settled('r'), controller.settled('second')]);
    expect((await controller.jobs()).map(({ state }) => state)).toEqual(['done', 'done']);
    expect(await store.stat(paths.claim('second'))).toBeNull();
  });

  it('leave a run alone that another process trains', async () => {
    await store.write(paths.config('r'), bytesOf(JSON.stringify(config)));
    await store.write(paths.claim('r'), bytesOf(String(process.ppid)));
    await expect(controller.resume('r')).rejects.toThrow('Run r is being trained by another Troupe');
    await expect(controller.removeRun('r')).rejects.toThrow('Run r is being trained by another Troupe');
    await store.remove(paths.claim('r'));
    await controller.resume('r');
    await controller.settled('r');
    expect(await store.stat(paths.claim('r'))).toBeNull();
  });

  it('that fail say why', async () => {
    place.atUpdate(() => {
      throw new Error('a bug');
    });
    await controller.begin(config);
    await expect(controller.settled('r')).rejects.toThrow('a bug');
    expect(await controller.jobs()).toMatchObject([{ state: 'failed', error: 'a bug' }]);
    expect((await controller.run('r')).state).toBe('failed');
  });

  it('stay in the list when another run is damaged', async () => {
    await controller.begin(config);
    await controller.settled('r');
    await store.write(paths.config('bad'), bytesOf('{"troupe":'));
    expect((await controller.runs()).map(({ id }) => id)).toEqual(['r']);
    expect(notices.join()).toContain('runs/bad/run.json');
  });

  it('freeze every choice, and refuse what cannot be trained before anything is written', async () => {
    const request = {
      workflow: echoWorkflow as never,
      task: 'toy.jsonl',
      model: 'toy',
      cast: 'shared',
      seed: 1,
      steps: 1,
    };
    const { config: planned } = await controller.plan({ ...request, ppo: { lr: 1e-3, 'kl.coef': 0.5 } });
    expect(await controller.runs()).toEqual([]);
    const { run } = await controller.train({ ...request, ppo: { lr: 1e-3, 'kl.coef': 0.5 } });
    await controller.settled(run);
    const frozen = (await controller.run(run)).config;
    expect(frozen.settings.ppo).toMatchObject({ lr: 1e-3, kl: { coef: 0.5 }, clip: 0.2 });
    expect(frozen.settings).toMatchObject({ steps: 1, queries: 64, seed: 1 });
    expect({ ...planned, id: run, created: frozen.created }).toEqual(frozen);
    await controller.describeRun(run, { title: ' The first ', note: 'a higher rate' });
    expect((await controller.run(run)).config).toEqual({ ...frozen, title: 'The first', note: 'a higher rate' });
    expect((await controller.runs())[0]).toMatchObject({ title: 'The first', note: 'a higher rate' });
    await controller.describeRun(run, { title: 'The first', note: ' ' });
    expect((await controller.run(run)).config).toEqual({ ...frozen, title: 'The first' });
    await expect(controller.describeRun(run, { title: ' ', note: '' })).rejects.toThrow('Not a name for a run');
    const long = { title: 'x', note: 'x'.repeat(10_001) };
    await expect(controller.describeRun(run, long)).rejects.toThrow('too long: 10001');
    await expect(controller.describeRun('nobody', { title: 'x', note: '' })).rejects.toThrow('nobody');
    const tuned = await controller.train({ ...request, sft: { minScore: 0.5, lr: 1e-4 } });
    await controller.settled(tuned.run);
    expect((await controller.run(tuned.run)).config.settings).toMatchObject({
      ppo: {},
      sft: { minScore: 0.5, lr: 1e-4, best: 4, legal: true, epochs: 2, lrDecay: 'constant' },
    });
    await controller.removeRun(tuned.run);
    await expect(controller.train({ ...request, sft: { clip: 0.2 } })).rejects.toThrow(
      /no setting clip of fine-tuning/,
    );
    await expect(controller.train({ ...request, sft: { best: 0.5 } })).rejects.toThrow(/setting best cannot be 0.5/);
    await expect(controller.train({ ...request, sft: { lr: -1 } })).rejects.toThrow(/lr must be a number from 0/);
    const policy = { model: 'toy', method: { kind: 'full' as const }, frozen: true };
    const cast = {
      troupe: 'cast' as const,
      version: 1 as const,
      name: 'mine',
      policies: { team: policy },
      roles: { solver: 'team' },
    };
    const refused: [object, RegExp][] = [
      [{ ppo: { nope: 1 } }, /no setting nope/],
      [{ ppo: { clip: 7 } }, /clip/],
      [{ steps: 0 }, /steps/],
      [{ cast: 'nope' }, /No such cast: nope; use shared, separate/],
      [{ cast }, /nothing would learn/],
      [{ cast: { ...cast, policies: { '../..': policy }, roles: { solver: '../..' } } }, /Not a name for a policy/],
      [{ cast: { ...cast, roles: {} } }, /gives no policy to role solver/],
      [{ method: { kind: 'lora', rank: 0 } }, /rank/],
      [{ model: 'nope' }, /No such model: nope; there are toy/],
    ];
    for (const [change, sentence] of refused) {
      await expect(controller.train({ ...request, ...change } as never)).rejects.toThrow(sentence);
      await expect(controller.train({ ...request, ...change } as never)).rejects.toMatchObject({ name: 'UserError' });
    }
    expect(await controller.runs()).toHaveLength(1);
  });
});
