/** Jobs through the controller, with an engine that can be lost and a workspace that can be damaged. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ppoSettings } from '../engine/learn/settings.ts';
import { Cancelled } from '../engine/errors.ts';
import type { EngineApi, EngineEvents, MemoryPlan } from '../engine/protocol.ts';
import type { Host } from './controller/host.ts';
import { createController, type Controller } from './controller.ts';
import type { Job, TextEvent, Turn } from './protocol.ts';
import { castSchema } from './schema/cast.ts';
import type { ForkChange } from './schema/trace.ts';
import {
  configOf,
  downloadsInto,
  echoWorkflow,
  questionLines,
  toyEngine,
  twoStepWorkflow,
} from './train/test-support.ts';
import { workflowSchema } from './schema/workflow.ts';
import { bytesOf, paths } from './workspace/layout.ts';
import { readMetrics } from './workspace/runs.ts';
import { openNodeStore } from './workspace/store.node.ts';
import type { Store } from './workspace/store.ts';

const info = {
  architecture: 'llama',
  format: 'safetensors',
  parameters: 1_000,
  layers: 1,
  hidden: 1,
  heads: 1,
  kvHeads: 1,
  vocab: 1,
  contextLength: 1,
  weightTypes: ['F32'],
  bytesOnDisk: 1,
  chatTemplate: true,
  memory: { run: 1, trainFull: 1, trainLora: 1 },
} as const;

/** An engine that knows which policies it has, and that `lose` takes away in the middle of a call. */
function hostOf(store: Store) {
  let events: EngineEvents | null = null;
  let lost = false;
  let onUpdate = (_step: number): void => {};
  let planned: MemoryPlan | null = null;
  const startEngine: Host['startEngine'] = async (given) => {
    events = given;
    lost = false;
    const toy = toyEngine();
    const policies = new Set<string>();
    const guarded =
      <A extends unknown[], R>(call: (policy: string, ...args: A) => Promise<R>) =>
      async (policy: string, ...args: A): Promise<R> => {
        if (lost) throw new Error('the device is gone');
        if (!policies.has(policy)) throw new Error(`no such policy: ${policy}`);
        return call(policy, ...args);
      };
    const engine = {
      open: async () => ({
        kind: 'cpu',
        name: 'toy',
        software: false,
        threads: 1,
        features: [],
        maxBufferBytes: null,
        reason: 'the only one',
      }),
      inspect: async () => info,
      plan: async () => planned,
      loadModel: async () => info,
      unloadModel: async () => {},
      cancel: async () => {},
      memory: toy.memory,
      // One number serves all policies, so a new one begins with the number of an untrained one.
      createPolicy: async ({ policy }: { policy: string }) => {
        policies.add(policy);
        await toy.importPolicy(policy, { weight: { kind: 'bytes', bytes: bytesOf('0') } });
      },
      dropPolicy: async (policy: string) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        policies.delete(policy);
      },
      generate: guarded(toy.generate as never),
      forget: guarded(toy.forget as never),
      score: guarded(toy.score as never),
      sft: guarded(toy.sft as never),
      exportPolicy: guarded(toy.exportPolicy as never),
      importPolicy: guarded(toy.importPolicy as never),
      update: guarded(async (policy, ...args: unknown[]) => {
        onUpdate(args[2] as number);
        if (lost) throw new Error('the device is gone');
        return (toy.update as (...all: unknown[]) => Promise<unknown>)(policy, ...args);
      }),
    };
    return { engine: engine as unknown as EngineApi, close: async () => {} };
  };
  const host: Host = {
    startEngine,
    device: 'cpu',
    downloads: downloadsInto(store),
    software: {},
    screens: true,
    places: { store, bundled: { toy: {} }, refOf: async (inside) => ({ kind: 'path', path: inside }) },
    readFile: async (name) => bytesOf(name === 'toy.jsonl' ? questionLines(12) : ''),
  };
  return {
    host,
    lose: () => {
      lost = true;
      events?.onDeviceLost({ reason: 'driver reset' });
    },
    atUpdate: (listen: (step: number) => void) => (onUpdate = listen),
    plan: (peakBytes: number) => (planned = { parts: { rollout: { weights: peakBytes } }, peakBytes, tokenBudget: 64 }),
  };
}

describe('jobs', () => {
  let folder: string;
  let store: Store;
  let place: ReturnType<typeof hostOf>;
  let controller: Controller;
  let jobs: Job[];
  let notices: string[];
  let turns: Turn[];
  const told: TextEvent[] = [];
  const ppo = JSON.parse(JSON.stringify(ppoSettings({ parameters: 1_000, method: 'full', totalSteps: 4 })));
  const config = { ...configOf({ steps: 4, ppo }), task: { name: 'toy', path: 'toy.jsonl', options: {} } };
  const open = () =>
    createController(place.host, {
      onJob: (job) => jobs.push(job),
      onStep: () => {},
      onText: (event) => told.push(event),
      onTurns: (waiting) => (turns = waiting),
      onDownload: () => {},
      onNotice: ({ text }) => notices.push(text),
    });
  const lines = async () => (await readMetrics(store, 'r')).map(({ timing: _, ...rest }) => rest);
  const undisturbed = async () => {
    const other = openNodeStore(path.join(folder, 'undisturbed'));
    const alone = createController(hostOf(other).host, {
      onJob: () => {},
      onStep: () => {},
      onText: () => {},
      onTurns: () => {},
      onDownload: () => {},
      onNotice: () => {},
    });
    await alone.begin(config);
    await alone.settled('r');
    return (await readMetrics(other, 'r')).map(({ timing: _, ...rest }) => rest);
  };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-controller-'));
    store = openNodeStore(path.join(folder, 'workspace'));
    place = hostOf(store);
    jobs = [];
    notices = [];
    turns = [];
    controller = open();
  });
  afterEach(async () => {
    await controller.close();
    await rm(folder, { recursive: true, force: true });
  });

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
    expect((await readMetrics(store, 'second')).map(({ timing: _, ...rest }) => rest)).toEqual(alone);
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

  it('keep the forks of a trace beside it, on the weights that spoke', async () => {
    await controller.begin(config);
    await controller.settled('r');
    const { rows } = await controller.traces('r', { step: 4, phase: 'train' });
    const trace = await controller.trace('r', rows[0].id);
    const fork = (...changes: ForkChange[]) =>
      controller.forkTrace({ run: 'r', trace: trace.id, record: 'solve#0', changes });
    const [said] = await fork({ kind: 'text', text: trace.query.answers[0] });
    expect(said).toMatchObject({ id: `${trace.id}.fork-1`, score: { f1: 1 }, fork: { of: trace.id, weights: 2 } });
    expect(said.records[1].reward).toBe(1);
    const scored = await controller.scoreRecord({ run: 'r', trace: trace.id, record: 'solve#0', step: 2 });
    expect(scored.logprobs).toHaveLength(trace.records[1].tokens!.ids.length);
    expect(scored.top).toHaveLength(scored.logprobs.length);
    expect(scored.top[0].length).toBeGreaterThan(0);
    const later = await controller.scoreRecord({ run: 'r', trace: trace.id, record: 'solve#0', step: 4 });
    expect(later.logprobs).not.toEqual(scored.logprobs);
    const unknown = { run: 'r', trace: trace.id, record: 'solve#0', step: 77 };
    await expect(controller.scoreRecord(unknown)).rejects.toThrow('no checkpoint of step 77');
    const silent = { run: 'r', trace: trace.id, record: trace.records[0].id, step: 0 };
    await expect(controller.scoreRecord(silent)).rejects.toThrow('No tokens were kept');
    const drawn = await fork({ kind: 'seed', seed: 1 }, { kind: 'seed', seed: 2 });
    expect(drawn.map(({ id }) => id)).toEqual([`${trace.id}.fork-2`, `${trace.id}.fork-3`]);
    const other = open();
    expect(await other.forks('r', trace.id)).toEqual([said, ...drawn]);
    expect(await other.trace('r', said.id)).toEqual(said);
    const [again] = await controller.forkTrace({ run: 'r', trace: said.id, record: 'solve#0', changes: [{ kind: 'seed', seed: 3 }] }); // prettier-ignore
    expect(again).toMatchObject({ id: `${trace.id}.fork-4`, fork: { of: said.id } });
    expect(await other.forks('r', trace.id)).toHaveLength(3);
    await expect(fork()).rejects.toThrow('cannot be forked 0 times');
    await expect(fork({ kind: 'text' } as never)).rejects.toThrow('Not a change of a record');
    await expect(controller.trace('r', `${trace.id}.fork-9`)).rejects.toThrow('No such fork in run r');
    expect((await controller.traces('r', { step: 4 })).rows.map(({ id }) => id)).not.toContain(said.id);
  });

  describe('that branch off a checkpoint', () => {
    const branch = (change: object = {}) => controller.branch({ run: 'r', step: 2, id: 'b', ...change });
    const trained = async () => {
      await controller.begin({ ...config, settings: { ...config.settings, keepCheckpoints: 'all' } });
      await controller.settled('r');
    };

    it('come to the same numbers where nothing is changed, and keep their beginning', async () => {
      await trained();
      await branch();
      await controller.settled('b');
      const bare = async (id: string) => (await readMetrics(store, id)).map(({ timing: _, ...rest }) => rest);
      expect(await bare('b')).toEqual(await bare('r'));
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
      expect((await bare('c')).map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5, 6]);
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

  it('leave a question alone that a person stops', async () => {
    const question = { question: 'What now?', task: 'toy.jsonl', model: 'toy', cast: 'shared', seed: 1 };
    const ask = () => controller.runQuestion({ workflow: workflowSchema.parse(echoWorkflow), ...question });
    const asked = ask();
    await controller.stopAnswer();
    await expect(asked).rejects.toBeInstanceOf(Cancelled);
    told.length = 0;
    const done = await ask();
    expect(done).toMatchObject({ status: 'done', id: '1-run-question', step: 1 });
    // A screen sees each record begin and end.
    const moved = told.flatMap(({ record, state }) => (state ? [`${record.split('/').at(-1)} ${state}`] : []));
    expect(moved).toEqual(['start#0 done', 'solve#0 asked', 'solve#0 done', 'end#0 done']);
    expect((await ask()).id).toBe('2-run-question');
    expect((await controller.traces('-questions', {})).rows.map(({ id }) => id)).toEqual([
      '2-run-question',
      '1-run-question',
    ]);
    expect((await controller.trace('-questions', done.id)).records[1]).toMatchObject({ text: done.records[1].text });
    const other = open();
    const changes: ForkChange[] = [{ kind: 'text', text: 'something else' }];
    const [fork] = await other.forkTrace({ run: '-questions', trace: done.id, record: 'solve#0', changes });
    expect(fork).toMatchObject({ id: '1-run-question.fork-1', answer: 'something else', fork: { weights: 0 } });
    expect(await controller.forks('-questions', done.id)).toEqual([fork]);
    await controller.note('-questions', { trace: done.id, text: '', tags: ['kept'] });
    expect((await other.traces('-questions', { tag: 'kept' })).rows.map(({ tags }) => tags)).toEqual([['kept']]);
    await expect(controller.note('nope', { trace: 'x', text: '', tags: [] })).rejects.toThrow('No such run: nope');
  });

  it('keep teams by name and remove those that were saved, never a template or anything else', async () => {
    const names = async () => (await controller.workflows()).filter((one) => !one.template).map(({ name }) => name);
    const mine = { ...workflowSchema.parse(echoWorkflow), name: 'mine' };
    await controller.saveWorkflow(mine);
    expect(await names()).toEqual(['mine']);
    for (const name of ['qd-answer', 'nobody', '../runs/r/run', ''])
      await expect(controller.removeWorkflow(name)).rejects.toThrow('No saved team of this name can be removed');
    await controller.removeWorkflow('mine');
    expect(await names()).toEqual([]);
    expect((await controller.workflow('qd-answer')).name).toBe('qd-answer');
  });

  it('put the turn of a role that a person plays to the screens, and take the first answer or none', async () => {
    const by = { kind: 'person' as const };
    const me = { model: 'none', method: { kind: 'full' as const }, frozen: true, by };
    const cast = castSchema.parse({ name: 'mine', policies: { me }, roles: { solver: 'me' } });
    const workflow = workflowSchema.parse(echoWorkflow);
    const ask = () =>
      controller.runQuestion({ workflow, question: 'What now?', task: 'toy.jsonl', model: 'toy', cast, seed: 1 });
    const turn = async (): Promise<Turn> => {
      while (turns.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      return turns[0];
    };
    const asked = ask();
    const waiting = await turn();
    expect(waiting).toMatchObject({ policy: 'me', node: 'solve', left: 0 });
    expect(waiting.messages.at(-1)!.content).toContain('What now?');
    expect(await controller.turns()).toEqual([waiting]);
    await controller.answerTurn(waiting.id, 'a word');
    expect((await asked).records.find(({ node }) => node === 'solve')?.text).toBe('a word');
    expect(turns).toEqual([]);
    await expect(controller.answerTurn(waiting.id, 'again')).rejects.toThrow('answered or ended already');
    const stopped = ask();
    await turn();
    await controller.stopAnswer();
    await expect(stopped).rejects.toBeInstanceOf(Cancelled);
    expect(turns).toEqual([]);
  });

  it('wait for a person while they train, and pause while they wait', async () => {
    const me = { model: 'none', method: { kind: 'full' as const }, frozen: true, by: { kind: 'person' as const } };
    const workflow = workflowSchema.parse(twoStepWorkflow);
    const cast = castSchema.parse({
      name: 'mine',
      policies: { small: { model: 'toy', method: { kind: 'full' } }, me },
      roles: { first: 'small', last: 'me' },
    });
    await controller.begin({ ...config, workflow, cast });
    while (turns.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(turns[0]).toMatchObject({ policy: 'me', node: 'say' });
    expect(turns[0].left).toBeGreaterThan(0);
    await controller.pause('r');
    await controller.settled('r');
    expect((await controller.run('r')).state).toBe('paused');
    expect(turns).toEqual([]);
  });
});
