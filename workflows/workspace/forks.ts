/**
 * Forks on disk: one JSON file each, whole with its tokens, named by the step of the trace it left and a number. A trace's
 * children are found by what they say they left.
 */
import { UserError } from '../../engine/errors.ts';
import { parseTrace } from '../schema/migrate.ts';
import type { Trace } from '../schema/trace.ts';
import { jsonBytes, paths, readAs, readSmall, stepOf } from './layout.ts';
import type { Store } from './store.ts';
import { readTrace } from './traces.ts';

const MARK = '.fork-';

export function isFork(id: string): boolean {
  return id.includes(MARK);
}

/** Ids for so many more forks of a trace. */
export async function newForkIds(store: Store, run: string, trace: string, count: number): Promise<string[]> {
  const last = Math.max(0, ...(await forkNumbers(store, run, stepOf(trace))));
  return Array.from({ length: count }, (_, i) => `${trace.split(MARK)[0]}${MARK}${last + 1 + i}`);
}

export async function writeFork(store: Store, run: string, fork: Trace): Promise<void> {
  await store.write(paths.fork(run, stepOf(fork.id), numberOf(fork.id)), jsonBytes(fork));
}

/** The forks that left this trace itself, oldest first. */
export async function forksOf(store: Store, run: string, trace: string): Promise<Trace[]> {
  const step = stepOf(trace);
  const numbers = (await forkNumbers(store, run, step)).sort((a, b) => a - b);
  const all = await Promise.all(numbers.map((number) => readNumbered(store, run, step, number)));
  return all.filter(({ fork }) => fork?.of === trace);
}

/** A trace of the run or a fork of one. Throws a UserError where there is none. */
export async function readAnyTrace(store: Store, run: string, id: string): Promise<Trace> {
  if (!isFork(id)) return readTrace(store, run, id);
  const step = stepOf(id);
  if (!(await forkNumbers(store, run, step)).includes(numberOf(id)))
    throw new UserError(`No such fork in run ${run}: ${id}; list the trace's forks first`);
  return readNumbered(store, run, step, numberOf(id));
}

function numberOf(id: string): number {
  return Number(id.slice(id.lastIndexOf(MARK) + MARK.length));
}

/** Of all forks of a step, in no order. */
async function forkNumbers(store: Store, run: string, step: number): Promise<number[]> {
  const names = await store.list(paths.forks(run));
  return names.flatMap((name) => {
    const [, of, number] = /^(\d+)-(\d+)\.json$/.exec(name) ?? [];
    return of !== undefined && Number(of) === step ? [Number(number)] : [];
  });
}

async function readNumbered(store: Store, run: string, step: number, number: number): Promise<Trace> {
  const name = paths.fork(run, step, number);
  return readAs(parseTrace, await readSmall(store, name), name);
}
