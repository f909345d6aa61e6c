/**
 * Runs on disk: the frozen configuration, the metrics so far, the job's last known state and the checkpoints. A checkpoint
 * is whole once its state.json stands, since that is written last.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { FileOut } from '../../engine/protocol.ts';
import type { JobState } from '../protocol.ts';
import { parseRun } from '../schema/migrate.ts';
import { stepMetricsSchema, type RunConfig, type StepMetrics } from '../schema/run.ts';
import { bytesOf, jsonBytes, parseAs, paths, readAs, readSmall, stepOf, textOf } from './layout.ts';
import type { Store } from './store.ts';

const states = [
  'queued',
  'starting',
  'running',
  'pausing',
  'paused',
  'stopping',
  'stopped',
  'done',
  'failed',
] as const satisfies readonly JobState[];
const runStateSchema = z.object({ state: z.enum(states), step: z.int(), error: z.string().optional() });
const checkpointSchema = z.object({
  step: z.int().min(0),
  policies: z.array(z.string()),
  /** `f1` holds the score of the task's metric, which was F1 when the name was given. */
  best: z.object({ step: z.int().min(0), f1: z.number() }).nullable(),
});

export type RunState = z.infer<typeof runStateSchema>;
export type CheckpointState = z.infer<typeof checkpointSchema>;

export async function listRuns(store: Store): Promise<string[]> {
  const names = await store.list(paths.runs());
  return names.filter((name) => name.endsWith('/')).map((name) => name.slice(0, -1));
}

export async function readRun(store: Store, id: string): Promise<RunConfig> {
  if ((await store.stat(paths.config(id))) === null) {
    const known = await listRuns(store);
    throw new UserError(
      `No such run: ${id}; ${known.length === 0 ? 'there are none yet' : `there are ${known.slice(-8).join(', ')}`}`,
    );
  }
  // The folder's name counts: a copied run must not write into the one it was copied from.
  return { ...readAs(parseRun, await readSmall(store, paths.config(id)), paths.config(id)), id };
}

export async function writeRun(store: Store, config: RunConfig): Promise<void> {
  await store.write(paths.config(config.id), jsonBytes(config));
}

/** What the job said last; null where there is nothing readable. */
export async function readState(store: Store, id: string): Promise<RunState | null> {
  if ((await store.stat(paths.state(id))) === null) return null;
  try {
    return parseAs(runStateSchema, await store.read(paths.state(id)), paths.state(id));
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

export async function writeState(store: Store, id: string, state: RunState): Promise<void> {
  await store.write(paths.state(id), jsonBytes(state));
}

/** Lines that parse; a last line cut off by a crash is left out. */
export async function readMetrics(store: Store, id: string): Promise<StepMetrics[]> {
  if ((await store.stat(paths.metrics(id))) === null) return [];
  const lines = textOf(await store.read(paths.metrics(id))).split('\n');
  return lines.flatMap((line) => {
    try {
      return line === '' ? [] : [stepMetricsSchema.parse(JSON.parse(line))];
    } catch {
      return [];
    }
  });
}

export async function appendMetrics(store: Store, id: string, metrics: StepMetrics): Promise<void> {
  await store.append(paths.metrics(id), JSON.stringify(metrics));
}

export async function truncateMetrics(store: Store, id: string, lastStep: number): Promise<StepMetrics[]> {
  const kept = (await readMetrics(store, id)).filter((metrics) => metrics.step <= lastStep);
  await store.write(paths.metrics(id), bytesOf(kept.map((metrics) => `${JSON.stringify(metrics)}\n`).join('')));
  return kept;
}

export async function listCheckpoints(store: Store, id: string): Promise<number[]> {
  const steps: number[] = [];
  for (const name of await store.list(paths.checkpoints(id))) {
    if (/^\d+\/$/.test(name) && (await store.stat(`${paths.checkpoints(id)}/${name}state.json`)) !== null)
      steps.push(stepOf(name));
  }
  return steps;
}

/** The step of a run's checkpoint: the one named, else the newest. */
export async function checkpointStep(store: Store, id: string, named?: number): Promise<number> {
  const steps = await listCheckpoints(store, id);
  const step = named === undefined ? steps.at(-1) : steps.find((each) => each === named);
  if (step !== undefined) return step;
  if (steps.length === 0) throw new UserError(`Run ${id} has no checkpoint yet; let it train a few steps first`);
  throw new UserError(`Run ${id} has no checkpoint of step ${named}; it has those of ${steps.join(', ')}`);
}

export async function writeCheckpoint(
  store: Store,
  id: string,
  state: CheckpointState,
  filesOf: (policy: string) => Promise<FileOut[]>,
): Promise<void> {
  // A step has one outcome: what stands there already is the same, and is not put at risk.
  if ((await listCheckpoints(store, id)).includes(state.step)) return;
  const folder = paths.checkpoint(id, state.step);
  await store.remove(folder);
  for (const policy of state.policies) {
    for (const file of await filesOf(policy)) await store.write(`${folder}/${policy}/${file.name}`, file.bytes);
  }
  await store.write(`${folder}/state.json`, jsonBytes(state));
}

export async function readCheckpoint(store: Store, id: string, step: number): Promise<CheckpointState> {
  const file = `${paths.checkpoint(id, step)}/state.json`;
  return parseAs(checkpointSchema, await store.read(file), file);
}

/** Bytes of a checkpoint's files. */
export async function checkpointBytes(store: Store, id: string, step: number): Promise<number> {
  const sizesIn = async (folder: string): Promise<number> => {
    const sizes = (await store.list(folder)).map(async (name) =>
      name.endsWith('/')
        ? sizesIn(`${folder}/${name.slice(0, -1)}`)
        : ((await store.stat(`${folder}/${name}`))?.size ?? 0),
    );
    return (await Promise.all(sizes)).reduce((a, b) => a + b, 0);
  };
  return sizesIn(paths.checkpoint(id, step));
}

type Files = Record<string, { kind: 'bytes'; bytes: Uint8Array }>;

async function checkpointFiles(store: Store, id: string, step: number, policy: string): Promise<Files> {
  const folder = `${paths.checkpoint(id, step)}/${policy}`;
  const names = await store.list(folder);
  const read = async (name: string) => [name, { kind: 'bytes', bytes: await store.read(`${folder}/${name}`) }] as const;
  return Object.fromEntries(await Promise.all(names.map(read)));
}

/** A policy's weights at a checkpoint. One that a branch froze has none but those it began with. */
export async function policyFiles(store: Store, { id, from }: RunConfig, step: number, policy: string): Promise<Files> {
  const files = await checkpointFiles(store, id, step, policy);
  return Object.keys(files).length > 0 || from === undefined ? files : checkpointFiles(store, id, from.step, policy);
}

export async function pruneCheckpoints(store: Store, id: string, keep: (step: number) => boolean): Promise<void> {
  for (const step of await listCheckpoints(store, id)) if (!keep(step)) await store.remove(paths.checkpoint(id, step));
}
