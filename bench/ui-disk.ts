/**
 * What a list of 100,000 traces and a trace of 2,000 records take to open from files, as the controller opens them: processor
 * time of the process with all its threads, whatever else the machine does.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { sampleTrace } from '../renderer/testing/fixture-controller.ts';
import type { Trace } from '../workflows/schema/trace.ts';
import { openNodeStore } from '../workflows/workspace/store.node.ts';
import { listTraces } from '../workflows/workspace/trace-index.ts';
import { readTrace, writeTraces } from '../workflows/workspace/traces.ts';

export type DiskMeasurement = {
  readonly traces: number;
  /** First page after a start, nothing in memory. */
  readonly listOpenMs: number;
  readonly pageMs: number;
  readonly filterMs: number;
  readonly heapMiB: number;
  readonly records: number;
  readonly traceOpenMs: number;
};

const STEPS = 1_000;
const EACH = 100;

export async function measureDisk(records: number): Promise<DiskMeasurement> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'troupe-bench-'));
  try {
    await fill(folder, records);
    const heapBefore = heap();
    const store = openNodeStore(folder);
    const [listOpenMs, { total }] = await timed(() => listTraces(store, 'r', { limit: 100 }));
    const [pageMs] = await timed(() => listTraces(store, 'r', { limit: 100, offset: total / 2 }));
    const [filterMs] = await timed(() => listTraces(store, 'r', { limit: 100, text: 'villager 77', order: 'best' }));
    const heapMiB = heap() - heapBefore;
    const [traceOpenMs, long] = await timed(() => readTrace(store, 'r', `${STEPS}-train-long`));
    return { traces: total, listOpenMs, pageMs, filterMs, heapMiB, records: long.records.length, traceOpenMs };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Every step as training writes it; the last one holds the long trace. */
async function fill(folder: string, records: number): Promise<void> {
  const store = openNodeStore(folder);
  const sample = sampleTrace(0);
  const short = { ...sample, records: sample.records.slice(0, 2) };
  for (let step = 0; step < STEPS; step++) {
    const traces = Array.from({ length: EACH }, (_, i): Trace => {
      const query = { ...short.query, id: `q${(step * 7 + i) % 2_000}`, question: `Where does villager ${i} live?` };
      return { ...short, id: `${step}-train-q${i}`, step, query };
    });
    await writeTraces(store, 'r', step, traces);
  }
  const long = Array.from({ length: records }, (_, i) => ({ ...sample.records[1], id: `decompose#${i}`, turn: i }));
  await writeTraces(store, 'r', STEPS, [{ ...sample, id: `${STEPS}-train-long`, step: STEPS, records: long }]);
}

async function timed<T>(work: () => Promise<T>): Promise<[number, T]> {
  const before = process.cpuUsage();
  const made = await work();
  const { user, system } = process.cpuUsage(before);
  return [Math.round((user + system) / 1_000), made];
}

function heap(): number {
  globalThis.gc?.();
  return Math.round(process.memoryUsage().heapUsed / 2 ** 20);
}
