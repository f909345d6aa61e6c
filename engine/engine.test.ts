/** The engine as its callers see it: through a worker thread and a port, with models from files and errors that travel. */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesAt } from './formats/folder.node.ts';
import { FIXTURES, missing, MODELS } from './formats/test-support.node.ts';
import { ppoSettings } from './learn/settings.ts';
import type { GenerateRequest, PolicySpec, Sampling } from './protocol.ts';
import { startNodeEngine, type NodeEngine } from './start.node.ts';

const TINY = `${FIXTURES}/tiny-llama`;
const CHAT = `${MODELS}/minimind2-small`;
const absent = missing(TINY, CHAT);
const GREEDY: Sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, maxTokens: 24, stop: [], seed: 1 };
const SPEC: PolicySpec = { policy: 'p', model: 'chat', method: { kind: 'full' }, frozen: true, seed: 1 };

const PPO = ppoSettings({ parameters: 100_000, method: 'full', totalSteps: 10 });

const ask = (record: string, content: string, sampling: Partial<Sampling> = {}, keep = false): GenerateRequest => ({
  record,
  prompt: { messages: [{ role: 'user', content }] },
  sampling: { ...GREEDY, ...sampling },
  keep,
});

describe.skipIf(absent)(`an engine in a worker thread ${absent ?? ''}`, () => {
  let host: NodeEngine;
  const tokens = new Map<string, string>();
  const progress: string[] = [];
  let onToken: (record: string) => void = () => {};

  beforeAll(async () => {
    host = await startNodeEngine({
      onToken: ({ record, text }) => {
        tokens.set(record, (tokens.get(record) ?? '') + text);
        onToken(record);
      },
      onProgress: ({ phase, done, total }) => void progress.push(`${phase} ${done}/${total}`),
      onDeviceLost: ({ reason }) => {
        throw new Error(reason);
      },
      onTuned() {},
    });
    expect((await host.engine.open('wasm')).kind).toBe('wasm');
    await host.engine.loadModel('tiny', await filesAt(TINY), 'loading');
    await host.engine.loadModel('chat', await filesAt(CHAT));
    await host.engine.createPolicy(SPEC);
  }, 60_000);
  afterAll(() => host.close());

  it('reports the model and its loading', async () => {
    const info = await host.engine.inspect(await filesAt(CHAT));
    expect(info).toMatchObject({
      architecture: 'llama',
      format: 'safetensors',
      layers: 8,
      hidden: 512,
      chatTemplate: true,
      weightTypes: ['F16'],
    });
    expect(info.memory.run).toBeGreaterThan(info.parameters * 4);
    expect(info.memory.trainFull).toBeGreaterThan(info.memory.trainLora);
    expect(progress.at(-1)).toMatch(/^load (\d+)\/\1$/);
  });

  it('answers in text, streams the same text, and stops at stop strings', async () => {
    const [plain, stopped] = await host.engine.generate('p', [
      ask('plain', 'What is the capital of France?'),
      ask('stopped', 'What is the capital of France?', { stop: ['of Fr'] }),
    ]);
    expect(plain.text).toContain('Paris');
    expect(plain.finish).toBe('stop');
    expect(tokens.get('plain')).toBe(plain.text);
    expect(plain.pieces.length).toBe(plain.ids.length);
    expect(stopped.text).toBe(plain.text.slice(0, plain.text.indexOf('of Fr')));
    expect(stopped.finish).toBe('stop-string');
    expect(tokens.get('stopped')).toBe(stopped.text);
  });

  it('cancels a running call and keeps what it has', async () => {
    onToken = (record) => void (record === 'endless' && host.engine.cancel('run-1'));
    const [generation] = await host.engine.generate(
      'p',
      [ask('endless', 'Tell me a long story.', { maxTokens: 400 })],
      'run-1',
    );
    onToken = () => {};
    expect(generation.finish).toBe('cancelled');
    expect(generation.ids.length).toBeLessThan(400);
    expect(generation.text.length).toBeGreaterThan(0);
  });

  it('answers two policies at once as one after the other, and cancels one of them alone', async () => {
    const own = { ...SPEC, policy: 'q', frozen: false, method: { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj'] } } as const; // prettier-ignore
    await host.engine.createPolicy(own);
    const requests = [ask('a', 'Name a colour.'), ask('b', 'Count to three.', { temperature: 1, seed: 4 })];
    const apart = [await host.engine.generate('p', requests), await host.engine.generate('q', requests)];
    expect(await Promise.all(['p', 'q'].map((policy) => host.engine.generate(policy, requests)))).toEqual(apart);
    const [stopped, whole] = [host.engine.generate('p', requests, 'stop'), host.engine.generate('q', requests)];
    await host.engine.cancel('stop');
    expect((await stopped).every(({ finish }) => finish === 'cancelled')).toBe(true);
    expect(await whole).toEqual(apart[1]);
    await host.engine.dropPolicy('q');
  });

  it('scores what it generated as it generated it', async () => {
    const [generation] = await host.engine.generate('p', [
      ask('scored', 'Name a colour.', { temperature: 1, maxTokens: 8 }),
    ]);
    const [scored] = await host.engine.score('p', [generation]);
    for (const [i, logprob] of generation.logprobs.entries()) expect(scored.logprobs[i]).toBeCloseTo(logprob, 3);
    expect(scored.top).toBeUndefined();
    const [{ top = [] }] = await host.engine.score('p', [generation], 5);
    expect(top.map((each) => each.length)).toEqual(generation.ids.map(() => 5));
    for (const [i, each] of top.entries()) {
      const sorted = each.map(({ logprob }) => logprob);
      expect(sorted).toEqual([...sorted].sort((a, b) => b - a));
      expect(sorted.reduce((sum, logprob) => sum + Math.exp(logprob), 0)).toBeLessThanOrEqual(1.0001);
      const own = each.find(({ id }) => id === generation.ids[i]);
      if (own) expect(own.logprob).toBeCloseTo(generation.logprobs[i], 3);
      else expect(generation.logprobs[i]).toBeLessThanOrEqual(sorted[4] + 1e-3);
    }
    await expect(host.engine.score('p', [generation], 99)).rejects.toThrow(
      'Alternatives of a token must be 0 to 20: 99',
    );
  });

  it('exports a checkpoint that another policy takes', async () => {
    const spec: PolicySpec = {
      policy: 'a',
      model: 'tiny',
      method: { kind: 'lora', rank: 2, alpha: 4, targets: ['q_proj', 'v_proj'] },
      frozen: false,
      seed: 5,
    };
    expect((await host.engine.createPolicy(spec)).trainable).toBe(3 * (2 * (64 + 64) + 2 * (64 + 32)) + 65);
    await host.engine.createPolicy({ ...spec, policy: 'b', seed: 6 });
    const files = await host.engine.exportPolicy('a', 'checkpoint');
    await host.engine.importPolicy(
      'b',
      Object.fromEntries(files.map(({ name, bytes }) => [name, { kind: 'bytes', bytes }])),
    );
    const again = await host.engine.exportPolicy('b', 'checkpoint');
    expect(again.map(({ bytes }) => [...bytes])).toEqual(files.map(({ bytes }) => [...bytes]));
  });

  it('learns from kept records once, and forgets on demand', async () => {
    const { engine } = host;
    await engine.createPolicy({ policy: 'learner', model: 'tiny', method: { kind: 'full' }, frozen: false, seed: 5 });
    const requests = Array.from({ length: 6 }, (_, i): GenerateRequest => ({
      record: `k${i}`,
      prompt: { ids: [3, 5, 8 + i] },
      sampling: { ...GREEDY, temperature: 1, maxTokens: 6, seed: i },
      keep: true,
    }));
    const generations = await engine.generate('learner', requests);
    const settled = generations.map(({ record, ids }) => ({
      record,
      reward: ids[0] % 2,
      role: 'solver',
      turn: 0,
      group: record,
    }));
    const before = await engine.score('learner', generations);
    const report = await engine.update('learner', settled, { ...PPO, lr: 1e-2 }, 0, 'update');
    expect(report.trainedTokens).toBe(generations.reduce((sum, { ids }) => sum + ids.length, 0));
    expect(report.tokens.map(({ record }) => record).sort()).toEqual(settled.map(({ record }) => record));
    expect(await engine.score('learner', generations)).not.toEqual(before);
    await expect(engine.update('learner', settled, PPO, 1)).rejects.toThrow(/keeps no record k0/);
    await engine.generate('learner', requests);
    await engine.forget('learner', ['k0']);
    await expect(engine.update('learner', settled, PPO, 1)).rejects.toThrow(/keeps no record k0/);
  });

  it('fine-tunes towards demonstrations, the end of the turn included', async () => {
    const { engine } = host;
    await engine.createPolicy({
      policy: 'pupil',
      model: 'chat',
      method: { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj', 'v_proj', 'down_proj'] },
      frozen: false,
      seed: 1,
    });
    const examples = [
      {
        prompt: { messages: [{ role: 'user' as const, content: 'Say the word.' }] },
        response: 'purple',
        role: 'solver',
      },
    ];
    const settings = {
      lr: 1e-2,
      lrWarmup: 0,
      lrDecay: 'constant' as const,
      totalSteps: 12,
      weightDecay: 0,
      maxGradNorm: 1,
      tokenBudget: 512,
    };
    const losses: number[] = [];
    for (let step = 0; step < 12; step++) losses.push((await engine.sft('pupil', examples, settings, step)).loss);
    expect(losses.at(-1)!).toBeLessThan(losses[0] / 4);
    const [generation] = await engine.generate('pupil', [ask('pupil', 'Say the word.')]);
    expect(generation).toMatchObject({ text: 'purple', finish: 'stop' });
  }, 60_000);

  it('says what memory it uses', async () => {
    const report = await host.engine.memory();
    expect(report.parts['model chat']).toBe(25_829_888 * 4);
    expect(report.peakBytes).toBeGreaterThanOrEqual(report.usedBytes);
  });

  it('answers bad input with a UserError and no stack of its own', async () => {
    const { engine } = host;
    const sentence = async (call: Promise<unknown>): Promise<string> => call.then(() => 'it went through', (error: Error) => `${error.name}: ${error.message}`); // prettier-ignore
    expect(await sentence(engine.open('wasm'))).toMatch(/^UserError: A device is open already/);
    expect(await sentence(engine.generate('nobody', []))).toMatch(/^UserError: There is no policy named nobody/);
    expect(await sentence(engine.createPolicy(SPEC))).toMatch(/^UserError: A policy named p exists/);
    expect(await sentence(engine.createPolicy({ ...SPEC, policy: 'q', model: 'none' }))).toMatch(
      /^UserError: No model named none/,
    );
    expect(await sentence(engine.unloadModel('chat'))).toMatch(/^UserError: The model chat is in use by p/);
    expect(await sentence(engine.generate('p', [ask('a', 'x'), ask('a', 'y')]))).toMatch(
      /^UserError: Two requests share/,
    );
    expect(await sentence(engine.generate('p', [ask('a', 'x', { topP: 7 })]))).toMatch(
      /^UserError: sampling.topP is 7/,
    );
    expect(await sentence(engine.generate('p', [{ ...ask('a', ''), prompt: { ids: [] } }]))).toMatch(
      /^UserError: The prompt is empty/,
    );
    expect(await sentence(engine.generate('p', [{ ...ask('a', ''), prompt: { ids: [1, 6400] } }]))).toMatch(
      /^UserError: Token id 6400 is outside/,
    );
    expect(await sentence(engine.encode('tiny', { text: 'x' }))).toMatch(/^UserError: The model tiny has no tokenizer/);
    expect(await sentence(engine.loadModel('empty', {}))).toMatch(/^UserError: No model was found/);
  });
});

/** Names of this process's threads; none where the system does not list them. */
function threadNames(): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim());
}

it('gives an emulated GPU two threads a core, where these are few', async (test) => {
  if (process.env['LP_NUM_THREADS']) test.skip('the environment has its own number');
  const unheard = { onToken() {}, onProgress() {}, onDeviceLost() {}, onTuned() {} };
  const host = await startNodeEngine(unheard);
  try {
    const { name } = await host.engine.open('webgpu').catch(() => ({ name: '' }));
    if (!/llvmpipe/.test(name)) test.skip('no llvmpipe here');
    if (availableParallelism() > 4) test.skip('more than four cores');
    expect(threadNames().filter((thread) => thread.startsWith('llvmpipe-')).length).toBe(2 * availableParallelism());
  } finally {
    await host.close();
  }
});
