/**
 * One CPU device measured in a process of its own, so that its memory high-water mark is its own too. Prints one JSON line.
 * Arguments: device (wasm, wasm-stock: tfjs's own kernels on the same backend, or cpu), and the model's folder.
 */
import '../engine/device/register.node.ts';
import { measureProduct, type Orientation } from '../engine/device/measure.ts';
import { useStockKernels } from '../engine/device/wasm.ts';
import { createEngine } from '../engine/engine.ts';
import { filesAt } from '../engine/formats/folder.node.ts';
import '../engine/formats/source.node.ts';
import type { EngineApi, GenerateRequest, SftExample, SftSettings, TrainMethod } from '../engine/protocol.ts';

export type CpuDevice = 'wasm' | 'wasm-stock' | 'cpu';

export type DecodeRates = { readonly batch1: number; readonly batch16: number };

export type CpuMeasurement = {
  readonly device: CpuDevice;
  readonly name: string;
  readonly model: {
    readonly parameters: number;
    readonly layers: number;
    readonly hidden: number;
    readonly vocab: number;
  };
  /** GFLOP/s of 512 × 512 products (256 on cpu). */
  readonly gflops: Readonly<Record<Orientation, number>>;
  /** Prompt tokens a second in one batch of 16; of 4 on wasm-stock and 2 on cpu, which are slow, for decoding too. */
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: DecodeRates;
  /** The same by weights of 8 and 4 bits, where the device can. */
  readonly packedTokensPerSecond: { readonly q8?: DecodeRates; readonly q4?: DecodeRates };
  /** Tokens (prompt and response) a second through one optimiser step. */
  readonly trainTokensPerSecond: { readonly full: number; readonly lora16: number };
  readonly memory: { readonly peakRssBytes: number; readonly peakDeviceBytes: number };
};

/** How much work each device is given: enough for seconds on it, not minutes. */
type Load = {
  readonly prompt: number;
  readonly tokens: number;
  readonly wide: number;
  readonly examples: number;
  readonly response: number;
  readonly size: number;
};
const LOADS: Record<CpuDevice, Load> = {
  wasm: { prompt: 96, tokens: 48, wide: 16, examples: 16, response: 32, size: 512 },
  'wasm-stock': { prompt: 32, tokens: 16, wide: 4, examples: 1, response: 32, size: 512 },
  cpu: { prompt: 16, tokens: 5, wide: 2, examples: 1, response: 6, size: 256 },
};

const ACTING = { policy: 'act', model: 'model', method: { kind: 'full' }, frozen: true, seed: 1 } as const;
const ALL_LAYERS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

async function measure(device: CpuDevice, path: string): Promise<CpuMeasurement> {
  const engine = createEngine({
    onToken: () => tokenTimes.push(performance.now()),
    onProgress: () => {},
    onDeviceLost: () => {},
    onTuned: () => {},
  });
  const opened = await engine.open(device === 'cpu' ? 'cpu' : 'wasm');
  if (device === 'wasm-stock') useStockKernels();
  const load = LOADS[device];
  const gflops = {} as Record<Orientation, number>;
  for (const orientation of ['NN', 'NT', 'TN'] as const)
    gflops[orientation] = await measureProduct(load.size, orientation, 1000);
  const info = await engine.loadModel('model', await filesAt(path));
  await engine.createPolicy(ACTING);
  const ids = await prompts(engine, info.chatTemplate, load.wide, load.prompt);
  // New ones every time: what a prompt begins with is kept from call to call.
  let asked = load.wide;
  const prefill = await fastest(async () => {
    const fresh = await prompts(engine, info.chatTemplate, load.wide, load.prompt, (asked += load.wide));
    return generate(engine, fresh, 1);
  });
  const batch1 = await decodeRate(engine, ids.slice(0, 1), load.tokens);
  const batch16 = await decodeRate(engine, ids, load.tokens);
  const packed: { q8?: DecodeRates; q4?: DecodeRates } = {};
  for (const weights of device === 'wasm' ? (['q8', 'q4'] as const) : []) {
    await engine.dropPolicy('act');
    await engine.createPolicy({ ...ACTING, rollout: weights });
    const [one, many] = [await decodeRate(engine, ids.slice(0, 1), load.tokens), await decodeRate(engine, ids, load.tokens)]; // prettier-ignore
    packed[weights] = { batch1: one, batch16: many };
  }
  await engine.dropPolicy('act');
  const examples = await prompts(engine, info.chatTemplate, load.examples, load.prompt);
  const full = await train(engine, examples, load, { kind: 'full' });
  const lora16 = await train(engine, examples, load, { kind: 'lora', rank: 16, alpha: 32, targets: ALL_LAYERS });
  const peak = (await engine.memory()).peakBytes;
  await engine.close();
  return {
    device,
    name:
      device === 'wasm-stock' ? `${opened.name.replace(/\d+ threads?/, '1 thread')}, tfjs's own kernels` : opened.name,
    model: { parameters: info.parameters, layers: info.layers, hidden: info.hidden, vocab: info.vocab },
    gflops,
    prefillTokensPerSecond: prefill.promptTokens / prefill.seconds,
    decodeTokensPerSecond: { batch1, batch16 },
    packedTokensPerSecond: packed,
    trainTokensPerSecond: { full, lora16 },
    memory: { peakRssBytes: process.resourceUsage().maxRSS * 1024, peakDeviceBytes: peak },
  };
}

type Timed = { readonly seconds: number; readonly promptTokens: number };

/** The fastest of two runs after one that warms up. */
async function fastest(run: () => Promise<Timed>): Promise<Timed> {
  await run();
  const [a, b] = [await run(), await run()];
  return a.seconds < b.seconds ? a : b;
}

const STORY =
  'Once upon a time a fisherman went out to sea and found a little box in his net. He opened it and saw a map. ';

/** `count` different requests to go on with a story, from the `first`, each of about `length` tokens; in the chat format where the model has one. */
async function prompts(
  engine: EngineApi,
  chat: boolean,
  count: number,
  length: number,
  first = 0,
): Promise<number[][]> {
  const perStory = (await engine.encode('model', { text: STORY })).length;
  const story = STORY.repeat(Math.max(1, Math.round(length / perStory)));
  const ask = (i: number): string => `Tell the ${first + i + 1}. part of this story in many words: ${story}`;
  const all = Array.from({ length: count }, (_, i) => ask(i));
  return Promise.all(
    all.map((text) => engine.encode('model', chat ? { messages: [{ role: 'user', content: text }] } : { text })),
  );
}

async function generate(engine: EngineApi, ids: readonly number[][], tokens: number): Promise<Timed> {
  const requests: GenerateRequest[] = ids.map((prompt, i) => ({
    record: `r${i}`,
    prompt: { ids: prompt },
    sampling: { temperature: 0.8, topK: 0, topP: 1, minP: 0, maxTokens: tokens, stop: [], seed: i },
    keep: false,
  }));
  const started = performance.now();
  await engine.generate('act', requests);
  return {
    seconds: (performance.now() - started) / 1000,
    promptTokens: ids.reduce((sum, prompt) => sum + prompt.length, 0),
  };
}

/** When each token of the run in progress came. */
const tokenTimes: number[] = [];

/** Tokens a second from each sequence's first to the last of all: the better of two runs after one that warms up. */
async function decodeRate(engine: EngineApi, ids: readonly number[][], tokens: number): Promise<number> {
  let best = 0;
  for (let run = 0; run < 3; run++) {
    tokenTimes.length = 0;
    await generate(engine, ids, tokens);
    // All first tokens are drawn together, from the prompts' last states.
    const decoded = tokenTimes.length - ids.length;
    const seconds = (tokenTimes.at(-1)! - tokenTimes[ids.length - 1]) / 1000;
    if (run > 0 && decoded > 0) best = Math.max(best, decoded / seconds);
  }
  return best;
}

/** Tokens a second of the fastest of three steps. */
async function train(engine: EngineApi, ids: readonly number[][], load: Load, method: TrainMethod): Promise<number> {
  await engine.createPolicy({ policy: 'learn', model: 'model', method, frozen: false, seed: 1 });
  const settings: SftSettings = {
    lr: 1e-5,
    lrWarmup: 0,
    lrDecay: 'constant',
    totalSteps: 10,
    weightDecay: 0,
    maxGradNorm: 1,
    tokenBudget: 2048,
  };
  const response = 'and so on '.repeat(Math.ceil(load.response / 3));
  const examples: SftExample[] = ids.map((prompt) => ({ prompt: { ids: prompt }, response, role: 'any' }));
  const responseTokens = (await engine.encode('model', { text: response })).length;
  const tokens = ids.reduce((sum, prompt) => sum + prompt.length + responseTokens, 0);
  let seconds = Infinity;
  for (let step = 0; step < 3; step++) {
    const started = performance.now();
    await engine.sft('learn', examples, settings, step);
    seconds = Math.min(seconds, (performance.now() - started) / 1000);
  }
  await engine.dropPolicy('learn');
  return tokens / seconds;
}

const [device, path] = process.argv.slice(2) as [CpuDevice, string];
console.log(JSON.stringify(await measure(device, path)));
process.exit(0);
