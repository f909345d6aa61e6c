/**
 * `npm run bench -- <suite> …`: runs suites of measurements, one after the other, and leaves their tables on the terminal and
 * their numbers in bench/results. The WebGPU suites share one open device; with `--json` the last line is one object with
 * every figure that was asked for.
 */
import { parseArgs } from 'node:util';
import { openDevice } from '../engine/device/open.ts';
import '../engine/device/register.node.ts';
import { Cancelled, UserError } from '../engine/errors.ts';
import { benchCpu } from './cpu.ts';
import { benchDecode } from './decode.ts';
import { benchKernels } from './kernels.ts';
import { MODEL_NAMES } from './models.ts';
import { describeMachine } from './results.ts';
import { benchRlStep } from './rl-step.ts';
import type { Bench, Figures } from './suite.ts';
import { benchTrain } from './train.ts';

const USAGE = `npm run bench -- kernels|decode|train|rl-step … [--device webgpu] [--json] [--out FOLDER]
npm run bench -- cpu [--model FOLDER] [--devices wasm,wasm-stock,cpu] [--python PYTHON] [--out FOLDER]
npm run bench -- ui [--minutes 30] [--json] [--out FOLDER]

  kernels  single hand-written WebGPU kernels and the tfjs operations they replace, beside what the device can do
  decode   tokens/s of the hand-written trunk and of the plain tfjs trunk, side by side on one adapter
             --batch 1,32   --context 128   --weights f16,q8,q4: besides f32
  train    a training step with hand-written kernels and with plain tfjs, side by side
             --method lora,full: lora unless given   --tokens 512: of prompts and responses in a step
  rl-step  one PPO step by part, beside the least the device's own limits leave it; what is not given is the preset's
             --preset qd-answer: 128 queries, 512 tokens a response, qwen2.5-0.5b, adapters
             --preset verl: 256 prompts with all weights, beside the 67.6 s that verl publishes for one GPU
             --queries 4   --tokens 64   --method lora|full   --weights f32   --activations f32
             --steps 2: the first compiles
             --micro-batch 4096: tokens   --memory GiB: what it may take; refused before it begins
  cpu      decode and training tokens/s, matrix-product rates and memory on each CPU device, and PyTorch's where there is one
  ui       the screens with 500 nodes, 100,000 traces, 2,000 records and 20 runs; memory over a session of so many minutes

decode, train and rl-step take --profile: where the device's time goes, by kernel.
decode, train and rl-step take --model, for decode and train several: ${MODEL_NAMES.join(', ')}.
npm run pack-bench -- FOLDER puts the first four into one folder for a machine without a package registry:
node FOLDER/run.mjs kernels decode train rl-step`;

type Values = ReturnType<typeof readArguments>['values'];

function readArguments() {
  return parseArgs({
    allowPositionals: true,
    options: {
      model: { type: 'string' },
      devices: { type: 'string', default: 'wasm,wasm-stock,cpu' },
      python: { type: 'string', default: 'python3' },
      device: { type: 'string', default: 'webgpu' },
      weights: { type: 'string', default: 'f32' },
      activations: { type: 'string', default: 'f32' },
      batch: { type: 'string', default: '1,32' },
      context: { type: 'string', default: '128' },
      method: { type: 'string' },
      tokens: { type: 'string' },
      preset: { type: 'string', default: 'qd-answer' },
      queries: { type: 'string' },
      steps: { type: 'string', default: '2' },
      'micro-batch': { type: 'string', default: '4096' },
      memory: { type: 'string' },
      minutes: { type: 'string', default: '30' },
      profile: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
}

function parsed(): ReturnType<typeof readArguments> {
  try {
    return readArguments();
  } catch (error) {
    const { code = '', message } = error as { readonly code?: string; readonly message: string };
    if (!code.startsWith('ERR_PARSE_ARGS')) throw error;
    throw new UserError(`${message.split('\n')[0]} --help lists what there is`);
  }
}

const list = (value: string): string[] => value.split(',').filter((part) => part !== '');

/** What is counted: whole and at least 1. */
function counts(option: string, value: string): number[] {
  const numbers = list(value).map(Number);
  const wrong = numbers.length === 0 || numbers.some((n) => !Number.isInteger(n) || n < 1);
  if (wrong) throw new UserError(`--${option} ${value}: give whole numbers from 1 on, with commas between them`);
  return numbers;
}

function count(option: string, value: string): number {
  const numbers = counts(option, value);
  if (numbers.length > 1) throw new UserError(`--${option} ${value}: give one number`);
  return numbers[0];
}

function gibibytes(value: string): number {
  if (!(Number(value) > 0 && Number.isFinite(Number(value))))
    throw new UserError(`--memory ${value}: give a number of GiB, as 8 or 0.5`);
  return Number(value);
}

const MEASURED = 'minimind2-small';

/** The suites that run on one WebGPU device. */
const SUITES: Readonly<Record<string, (bench: Bench, values: Values) => Promise<Figures>>> = {
  kernels: (bench) => benchKernels(bench),
  decode: (bench, { model = MEASURED, weights, batch, context, profile }) =>
    benchDecode(bench, {
      ...{ models: list(model), weights: list(weights) },
      ...{ batches: counts('batch', batch), contexts: counts('context', context), profile },
    }),
  train: (bench, { model = MEASURED, method = 'lora', tokens = '512', profile }) =>
    benchTrain(bench, { models: list(model), methods: list(method), tokens: count('tokens', tokens), profile }),
  'rl-step': (bench, { model, weights, activations, method, preset, queries, tokens, steps, memory, ...rest }) =>
    benchRlStep(bench, {
      ...{ preset, model, method, activations, weights: list(weights).at(-1) ?? 'f32', steps: count('steps', steps) },
      ...(queries === undefined ? {} : { queries: count('queries', queries) }),
      ...(tokens === undefined ? {} : { tokens: count('tokens', tokens) }),
      ...{ microBatch: count('micro-batch', rest['micro-batch']), profile: rest.profile },
      memoryGiB: memory === undefined ? null : gibibytes(memory),
    }),
};

async function main(): Promise<void> {
  const { values, positionals } = parsed();
  if (values.help || positionals.length === 0) return void console.log(USAGE);
  const unknown = positionals.find((suite) => !(suite in SUITES) && suite !== 'cpu' && suite !== 'ui');
  if (unknown !== undefined)
    throw new UserError(`unknown suite "${unknown}"; there are: ${Object.keys(SUITES).join(', ')}, cpu, ui`);
  const { model, devices, python, minutes, json, out } = values;
  if (positionals.includes('cpu')) await benchCpu({ model, devices: list(devices), python, json, out });
  // It brings a browser and a bundler, which the packed folder leaves out.
  if (positionals.includes('ui')) await (await screens()).benchUi({ minutes: Number(minutes), json, out });
  const chosen = positionals.filter((suite) => suite in SUITES);
  if (chosen.length === 0) return;
  if (values.device !== 'webgpu')
    throw new UserError(`${chosen.join(', ')} measure webgpu, not ${values.device}; for CPU devices run the suite cpu`);
  const figures = await runSuites(chosen, values);
  if (json) console.log(JSON.stringify({ event: 'done', ...figures }));
  // Dawn keeps a thread that would hold the process.
  process.exit(0);
}

async function screens(): Promise<typeof import('./ui.ts')> {
  try {
    return await import('./ui.ts');
  } catch (error) {
    if (!/\bui[.]ts$/.test((error as { url?: string }).url ?? '')) throw error;
    throw new UserError('the packed folder has no screens to measure: run npm run bench -- ui in the project');
  }
}

async function runSuites(suites: readonly string[], values: Values): Promise<Figures> {
  const machine = describeMachine();
  const say = (line: string): void => (values.json ? console.error(line) : console.log(line));
  let figures: Figures = {};
  for (const suite of suites) {
    // Each on a fresh one: what a suite leaves in the pool of buffers is not the next one's burden.
    const device = await openDevice('webgpu');
    say(`${suite}: ${device.info.name} (load ${machine.loadBefore} on ${machine.cores} cores)`);
    const bench = { machine, device, out: values.out, python: values.python, say };
    figures = { ...figures, ...(await SUITES[suite](bench, values)) };
    await device.close();
  }
  for (const [figure, value] of Object.entries(figures)) say(`${figure}: ${value}`);
  return figures;
}

main().catch((error: unknown) => {
  console.error(error instanceof UserError || error instanceof Cancelled ? error.message : error);
  process.exit(error instanceof Cancelled ? 130 : 1);
});
