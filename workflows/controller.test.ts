/** Jobs through the controller, with an engine that can be lost and a workspace that can be damaged. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Cancelled } from '../engine/errors.ts';
import type { EngineApi, EngineEvents } from '../engine/protocol.ts';
import type { Host } from './controller/host.ts';
import { createController, type Controller } from './controller.ts';
import type { Job, Turn } from './protocol.ts';
import { castSchema } from './schema/cast.ts';
import type { ForkChange } from './schema/trace.ts';
import { configOf, echoWorkflow, questionLines, toyEngine, twoStepWorkflow } from './train/test-support.ts';
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
      loadModel: async () => info,
      unloadModel: async () => {},
      cancel: async () => {},
      createPolicy: async ({ policy }: { policy: string }) => void policies.add(policy),
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
  const config = { ...configOf({ steps: 4 }), task: { name: 'toy', path: 'toy.jsonl', options: {} } };
  const open = () =>
    createController(place.host, {
      onJob: (job) => jobs.push(job),
      onStep: () => {},
      onText: () => {},
      onTurns: (waiting) => (turns = waiting),
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

  it('run one at a time, and a refused one leaves nothing behind', async () => {
    await controller.begin(config);
    await expect(controller.begin({ ...config, id: 'second' })).rejects.toThrow(
      /Another run is training: r; pause or stop it first/,
    );
    await expect(controller.removeRun('r')).rejects.toThrow(/is training; stop it first/);
    await controller.settled('r');
    expect((await controller.runs()).map(({ id }) => id)).toEqual(['r']);
  });

  it('run one at a time when two begin in the same moment, and the refused one claims nothing', async () => {
    const second = { ...config, id: 'second' };
    const begun = await Promise.allSettled([controller.begin(config), controller.begin(second)]);
    const won = begun.findIndex(({ status }) => status === 'fulfilled');
    expect(begun.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const [winner, refused] = won === 0 ? ['r', 'second'] : ['second', 'r'];
    expect(await store.stat(paths.claim(refused!))).toBeNull();
    await controller.settled(winner!);
    await controller.resume(refused!);
    await controller.settled(refused!);
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
    const { run } = await controller.train({ ...request, ppo: { lr: 1e-3, 'kl.coef': 0.5 } });
    await controller.settled(run);
    const frozen = (await controller.run(run)).config;
    expect(frozen.settings.ppo).toMatchObject({ lr: 1e-3, kl: { coef: 0.5 }, clip: 0.2 });
    expect(frozen.settings).toMatchObject({ steps: 1, queries: 64, seed: 1 });
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

  it('leave a question alone that a person stops', async () => {
    const question = { question: 'What now?', task: 'toy.jsonl', model: 'toy', cast: 'shared', seed: 1 };
    const ask = () => controller.runQuestion({ workflow: workflowSchema.parse(echoWorkflow), ...question });
    const asked = ask();
    await controller.stopAnswer();
    await expect(asked).rejects.toBeInstanceOf(Cancelled);
    const done = await ask();
    expect(done).toMatchObject({ status: 'done', id: '1-run-question', step: 1 });
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
