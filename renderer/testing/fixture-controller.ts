/**
 * A controller with a fixed past, for looking at screens and for their tests: one finished run, one running, traces of
 * every kind. It computes nothing and is never part of the product's build.
 */
import { ppoSettings } from '../../engine/learn/settings.ts';
import type { ControllerApi, ControllerEvents, Download, Job, Note, RunSummary } from '../../workflows/protocol.ts';
import type { Evaluation, RunConfig, StepMetrics } from '../../workflows/schema/run.ts';
import { traceSchema, type Trace } from '../../workflows/schema/trace.ts';
import { presetCast } from '../../workflows/train/cast.ts';
import { ordered, page, passes, summarise } from '../../workflows/workspace/trace-list.ts';
import { sampleWorkflow } from './sample-workflow.ts';

const steps = 60;

const BEGUN = Date.parse('2026-11-21T14:02:00Z');

function wave(step: number, seed: number): number {
  return Math.sin(step * 1.7 + seed) * 0.5 + Math.sin(step * 0.61 + seed * 3) * 0.5;
}

function evaluation(step: number, gain: number): Evaluation {
  const f1 = Math.min(0.97, 0.31 + gain * (1 - Math.exp(-step / 18)) + wave(step, 2) * 0.012);
  return { f1, em: Math.max(0, f1 - 0.08), legal: Math.min(1, 0.7 + step / 120), n: 64, stderr: 0.04, roles: {} };
}

export function metricsTo(last: number, gain = 0.55): StepMetrics[] {
  return Array.from({ length: last + 1 }, (_, step): StepMetrics => ({
    step,
    rollout: { dropped: step === 7 ? 2 : 0 },
    roles:
      step === 0
        ? {}
        : {
            decomposer: {
              reward: -0.2 + (gain + 0.2) * (1 - Math.exp(-step / 15)) + wave(step, 1) * 0.05,
              legal: Math.min(1, 0.72 + step / 110 + wave(step, 4) * 0.02),
            },
            answerer: {
              reward: -0.05 + gain * (1 - Math.exp(-step / 20)) + wave(step, 3) * 0.05,
              legal: Math.min(1, 0.86 + step / 240 + wave(step, 6) * 0.02),
            },
          },
    policies:
      step === 0
        ? {}
        : {
            team: {
              'losses/approx_kl': 0.004 + wave(step, 5) * 0.0015,
              'losses/clipfrac': 0.06 + wave(step, 8) * 0.02,
              'losses/entropy': 0.9 * Math.exp(-step / 50) + wave(step, 9) * 0.02,
            },
          },
    eval: step % 5 === 0 ? evaluation(step, gain) : undefined,
    notes: step === 3 ? ['micro-batch halved to 1,024 tokens: out of memory'] : [],
    timing:
      step === 0
        ? { evalMs: 900, at: BEGUN }
        : {
            rolloutMs: 640 + wave(step, 1) * 60,
            updateMs: 420 + wave(step, 2) * 40,
            stepMs: 1_100 + wave(step, 1) * 100,
            evalMs: step % 5 === 0 ? 900 : 0,
            // Paused over lunch.
            at: BEGUN + step * 1_250 + (step > 40 ? 2_400_000 : 0),
            peakBytes: 61e6,
            tokensPerSecond: 2_310 + wave(step, 3) * 160,
          },
  }));
}

function config(id: string, title: string, cast: 'shared' | 'separate'): RunConfig {
  return {
    troupe: 'run',
    version: 1,
    id,
    created: id === 'one' ? '2026-11-21T14:02:00Z' : '2026-11-20T09:15:00Z',
    title,
    workflow: sampleWorkflow,
    cast: presetCast(sampleWorkflow, cast, 'nano', { kind: 'full' }),
    task: { name: 'village-qa', options: {} },
    settings: {
      steps,
      queries: 64,
      evalEvery: 5,
      evalLimit: 64,
      checkpointEvery: 10,
      seed: 1,
      ppo: { ...ppoSettings({ parameters: 1_240_000, method: 'full', totalSteps: steps }) },
    },
    device: { choice: 'auto', kind: 'wasm', name: 'WebAssembly SIMD, 2 threads' },
    software: { troupe: '0.1.0' },
  };
}

const download: Download = {
  name: 'qwen3-0.6b',
  repo: 'Qwen/Qwen3-0.6B',
  endpoint: 'https://huggingface.co',
  state: 'running',
  file: 'model.safetensors',
  doneBytes: 611_000_000,
  totalBytes: 1_503_000_000,
  bytesPerSecond: 18_400_000,
  etaMs: 48_500,
  movedAt: Date.now(),
};

export function sampleTrace(at: number): Trace {
  const good = at % 3 !== 1;
  const role = (
    node: string,
    name: string,
    text: string,
    port: string,
    value: string | string[],
    parents: string[],
  ): object => ({
    id: `${node}#0`,
    node,
    kind: 'role',
    title: name === 'decomposer' ? 'Decomposer' : 'Answerer',
    turn: 0,
    parents,
    inputs: { question: 'Where does the friend of Mira live?' },
    outputs: { [port]: value },
    role: name,
    policy: 'team',
    trainable: true,
    prompt: [
      { role: 'system', content: sampleWorkflow.roles[name].prompt.system },
      { role: 'user', content: 'Question: Where does the friend of Mira live?' },
    ],
    text,
    finish: 'stop',
    legal: good || name === 'answerer',
    problem: good || name === 'answerer' ? undefined : 'no <q>…</q>',
    length: 6,
    tokens: {
      promptIds: [1, 2, 3],
      ids: [4, 5, 6, 7, 8, 9],
      pieces: text.match(/<\/?\w+>|\s?[^<\s]+/g)?.slice(0, 6) ?? [text],
      logprobs: [-0.01, -0.4, -2.6, -0.2, -0.03, -0.001],
      entropy: [0.05, 0.9, 2.1, 0.6, 0.1, 0.01],
      oldLogprobs: [-0.01, -0.42, -2.4, -0.21, -0.03, -0.001],
      newLogprobs: [-0.01, -0.4, -2.65, -0.2, -0.02, -0.001],
      values: [0.3, 0.3, 0.35, 0.4, 0.4, 0.5],
      advantages: good ? [0.9, 0.9, 0.85, 0.8, 0.8, 0.7] : [-1, -1, -0.9, -0.8, -0.8, -0.7],
    },
    rewards: [
      { level: 'trajectory', rule: 'f1', value: good ? 1 : 0, terms: { f1: good ? 1 : 0, weight: 1 } },
      { level: 'role', rule: 'format', value: good || name === 'answerer' ? 0 : -1, terms: { legal: Number(good) } },
    ],
    reward: good ? 1 : name === 'answerer' ? 0 : -1,
  });
  return traceSchema.parse({
    troupe: 'trace',
    version: 1,
    id: `${Math.floor(at / 4)}-train-q${at}`,
    workflow: 'qd-answer',
    phase: at % 4 === 3 ? 'eval' : 'train',
    step: Math.floor(at / 4),
    query: { id: `q${at}`, question: `Where does the friend of Mira live? (${at})`, answers: ['Ostra'] },
    status: 'done',
    answer: good ? 'Ostra' : 'Mira',
    score: { f1: good ? 1 : 0, em: good ? 1 : 0 },
    records: [
      {
        id: 'question#0',
        node: 'question',
        kind: 'input',
        title: 'Question',
        turn: 0,
        parents: [],
        inputs: {},
        outputs: { question: 'Where does the friend of Mira live?' },
      },
      role(
        'decompose',
        'decomposer',
        '<q>friend of Mira</q> <q>Tom lives in</q>',
        'queries',
        ['friend of Mira', 'Tom lives in'],
        ['question#0'],
      ),
      {
        id: 'retrieve#0',
        node: 'retrieve',
        kind: 'tool',
        title: 'Retrieve',
        turn: 0,
        parents: ['decompose#0'],
        inputs: { queries: ['friend of Mira', 'Tom lives in'] },
        outputs: {
          passages: [
            { title: 'Mira', text: 'is the friend of Tom' },
            { title: 'Tom', text: 'lives in Ostra' },
          ],
        },
      },
      role('answer', 'answerer', '<a> Ostra </a>', 'answer', good ? 'Ostra' : 'Mira', ['question#0', 'retrieve#0']),
      {
        id: 'result#0',
        node: 'result',
        kind: 'output',
        title: 'Answer',
        turn: 0,
        parents: ['answer#0'],
        inputs: { answer: good ? 'Ostra' : 'Mira' },
        outputs: {},
      },
    ],
  });
}

const memory = { run: 18e6, trainFull: 240e6, trainLora: 120e6 };
const info = {
  architecture: 'llama',
  format: 'safetensors',
  parameters: 1_240_000,
  layers: 4,
  hidden: 128,
  heads: 4,
  kvHeads: 2,
  vocab: 512,
  contextLength: 512,
  weightTypes: ['F16'],
  bytesOnDisk: 2_480_000,
  chatTemplate: true,
  memory,
} as const;

export function fixtureController(events: ControllerEvents): ControllerApi {
  const traces = Array.from({ length: 400 }, (_, at) => sampleTrace(at));
  const job: Job = {
    run: 'one',
    title: 'QD-Answer · shared · nano',
    state: 'running',
    step: 42,
    steps,
    phase: 'rollout 24 of 64',
    done: 24,
    total: 64,
    etaMs: 21_000,
    movedAt: Date.now(),
  };
  const runs: RunSummary[] = (['one', 'two'] as const).map((id) => ({
    id,
    title: id === 'one' ? 'QD-Answer · shared · nano' : 'QD-Answer · separate · nano',
    created: config(id, '', 'shared').created,
    workflow: 'qd-answer',
    cast: id === 'one' ? 'shared' : 'separate',
    task: 'village-qa',
    model: 'nano',
    step: id === 'one' ? 42 : 60,
    steps,
    state: id === 'one' ? 'running' : 'done',
    before: evaluation(0, 0),
    latest: evaluation(id === 'one' ? 40 : 60, id === 'one' ? 0.55 : 0.6),
    seed: 1,
    trained: { method: 'full', policies: id === 'one' ? 1 : 2, queries: 64 },
    measured: { device: 'WebAssembly SIMD, 2 threads', peakBytes: 61e6, stepMs: 1_100 },
    ...(id === 'two' ? { from: { run: 'one', step: 20 } } : {}),
  }));
  const metrics = metricsTo(42);
  setInterval(() => job.state === 'running' && events.onJob({ ...job, movedAt: Date.now() }), 1_000);
  const move = (state: Job['state']) => async (): Promise<void> => {
    job.state = state;
    events.onJob({ ...job, movedAt: Date.now() });
  };
  let saved = { ...sampleWorkflow };
  let notes: Note[] = [];
  return {
    device: async () => ({
      kind: 'wasm',
      name: 'WebAssembly SIMD, 2 threads',
      software: false,
      threads: 2,
      features: [],
      maxBufferBytes: null,
      reason: 'No graphics adapter was found.',
    }),
    devices: async (measure) => [
      {
        ...{ kind: 'webgpu', available: false, name: 'none', software: false, features: [], maxBufferBytes: null },
        ...{ gflops: null, gigabytesPerSecond: null, note: 'no adapter in this fixture' },
      },
      {
        ...{ kind: 'wasm', available: true, name: 'WebAssembly SIMD, 2 threads', software: false },
        ...{ features: ['simd', 'relaxed-simd', 'shared-memory'], maxBufferBytes: 2 ** 32 },
        ...{ gflops: measure ? 98.4 : null, gigabytesPerSecond: measure ? 17.2 : null, note: '' },
      },
    ],
    memory: async () => ({ usedBytes: 212e6, peakBytes: 388e6 }),
    workflows: async () => [
      {
        name: 'qd-answer',
        title: 'QD-Answer',
        description: sampleWorkflow.description,
        roles: ['decomposer', 'answerer'],
        template: true,
      },
      {
        name: 'mine',
        title: 'My two roles',
        description: 'A copy with another prompt.',
        roles: ['decomposer', 'answerer'],
        template: false,
      },
    ],
    workflow: async (name) => ({ ...saved, name, title: name === 'mine' ? 'My two roles' : 'QD-Answer' }),
    saveWorkflow: async (workflow) => void (saved = workflow),
    removeWorkflow: async () => {},
    tasks: async () => [
      {
        name: 'village-qa',
        title: 'Village',
        description: 'A made-up village.',
        train: 2_000,
        heldOut: 200,
        examples: ['Where does the friend of Mira live?', 'What does Tom work as?'],
      },
    ],
    models: async () => [
      { name: 'nano', bundled: true, info },
      {
        name: 'smollm2-135m-instruct',
        bundled: false,
        info: {
          ...info,
          format: 'gguf',
          parameters: 134_515_008,
          contextLength: 8_192,
          weightTypes: ['Q4_1', 'F32'],
          bytesOnDisk: 97e6,
          memory: { run: 540e6, trainFull: 3.4e9, trainLora: 1.4e9 },
        },
      },
      {
        name: 'broken',
        bundled: false,
        info: null,
        problem: 'model.safetensors ends too early: 812 of 4,096 bytes; copy it again',
      },
    ],
    downloads: async () => [download],
    download: async () => download,
    pauseDownload: async () => {},
    resumeDownload: async () => download,
    cancelDownload: async () => {},
    addModel: async (name) => ({ name, bundled: false, info }),
    removeModel: async () => {},
    chat: async () => ({ text: 'Tom lives in Ostra.', tokens: 6, ms: 120 }),
    runs: async () => runs,
    run: async (id) => ({
      config: config(id, runs.find((run) => run.id === id)?.title ?? id, id === 'one' ? 'shared' : 'separate'),
      state: id === 'one' ? job.state : 'done',
      metrics: id === 'one' ? metrics : metricsTo(60, 0.6),
      checkpoints: [10, 20, 30, 40].map((step) => ({ step, bytes: 9.6e6, eval: evaluation(step, 0.55) })),
    }),
    removeRun: async () => {},
    describeRun: async () => {},
    plan: async () => ({ config: config('planned', 'Planned', 'shared'), memory: null }),
    train: async () => ({ run: 'one' }),
    branch: async () => ({ run: 'one' }),
    pause: move('paused'),
    resume: move('running'),
    stop: move('stopped'),
    jobs: async () => [job],
    traces: async (_, filter) => {
      const tagsOf = (id: string): string[] => notes.filter(({ trace }) => trace === id).flatMap(({ tags }) => tags);
      const rows = traces.map(summarise).filter((row) => passes(row, filter, tagsOf(row.id)));
      return page(ordered(rows, filter.order), filter);
    },
    scoreRecord: async () => ({
      logprobs: [-0.02, -0.1, -3.2, -0.21, -0.03, -0.001],
      entropy: [0, 0, 0, 0, 0, 0],
      top: [],
    }),
    notes: async () => notes,
    note: async (_, { trace, record, ...note }) => {
      notes = notes.filter((one) => one.trace !== trace || one.record !== record);
      notes.push({ trace, ...(record === undefined ? {} : { record }), ...note, at: '2026-11-21T14:02:00Z' });
    },
    trace: async (_, id) => {
      const found = traces.find((trace) => trace.id === id);
      if (!found) throw new Error(`No such trace: ${id}`);
      return found;
    },
    forks: async () => [],
    forkTrace: async () => [],
    stopAnswer: async () => {},
    serviceKey: async () => 'missing',
    keepServiceKey: async () => {},
    turns: async () => [],
    answerTurn: async () => {},
    tryRewards: async (_workflow, _cast, trace) => trace,
    runQuestion: async () => sampleTrace(0),
    exportPolicy: async () => [],
  };
}
