/**
 * A controller to test: its workspace in a folder of its own, an engine that can be lost in the middle of a call, and what it
 * told the screens.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ppoSettings } from '../../engine/learn/settings.ts';
import type { EngineApi, EngineEvents, MemoryPlan } from '../../engine/protocol.ts';
import { createController, type Controller } from '../controller.ts';
import type { Job, TextEvent, Turn } from '../protocol.ts';
import type { RunConfig, StepMetrics } from '../schema/run.ts';
import { configOf, downloadsInto, questionLines, toyDevice, toyEngine } from '../train/test-support.ts';
import { bytesOf } from '../workspace/layout.ts';
import { readMetrics } from '../workspace/runs.ts';
import { openNodeStore } from '../workspace/store.node.ts';
import type { Store } from '../workspace/store.ts';
import type { Host } from './host.ts';

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
export function hostOf(store: Store) {
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
      open: async () => toyDevice,
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

/** A run of the toy engine over four steps, as it would be frozen. */
export const config: RunConfig = {
  ...configOf({
    steps: 4,
    ppo: JSON.parse(JSON.stringify(ppoSettings({ parameters: 1_000, method: 'full', totalSteps: 4 }))),
  }),
  task: { name: 'toy', path: 'toy.jsonl', options: {} },
};

export type Bench = {
  readonly folder: string;
  readonly store: Store;
  readonly place: ReturnType<typeof hostOf>;
  readonly controller: Controller;
  readonly jobs: Job[];
  readonly notices: string[];
  readonly told: TextEvent[];
  /** Whom people are waited for. */
  readonly turns: () => readonly Turn[];
  /** Another controller of the same place. */
  open(): Controller;
  close(): Promise<void>;
};

export async function openBench(): Promise<Bench> {
  const folder = await mkdtemp(path.join(tmpdir(), 'troupe-controller-'));
  const store = openNodeStore(path.join(folder, 'workspace'));
  const place = hostOf(store);
  const [jobs, notices, told]: [Job[], string[], TextEvent[]] = [[], [], []];
  let turns: Turn[] = [];
  const open = (): Controller =>
    createController(place.host, {
      onJob: (job) => jobs.push(job),
      onStep: () => {},
      onText: (event) => told.push(event),
      onTurns: (waiting) => (turns = waiting),
      onDownload: () => {},
      onNotice: ({ text }) => notices.push(text),
    });
  const controller = open();
  const close = async (): Promise<void> => {
    await controller.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { ...{ folder, store, place, controller, jobs, notices, told, open, close }, turns: () => turns };
}

/** What a run measured, without what depends on the clock. */
export async function untimed(store: Store, run: string): Promise<Omit<StepMetrics, 'timing'>[]> {
  return (await readMetrics(store, run)).map(({ timing: _, ...rest }) => rest);
}
