/** What every suite says of the machine it ran on, and where its numbers are kept. */
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  /** Runnable processes in the minute before: anything near the number of cores spoils the figures. */
  readonly loadBefore: number;
};

export function describeMachine(): Machine {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? 'unknown processor',
    cores: cpus.length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.versions.node,
    loadBefore: Number(os.loadavg()[0]!.toFixed(2)),
  };
}

/** `subject` is what was measured, a processor or an adapter; it names the file. Returns the file's path. */
export async function saveResults(
  suite: string,
  machine: Machine,
  subject: string,
  measured: Readonly<Record<string, unknown>>,
  folder = path.join(import.meta.dirname, 'results'),
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  const name = subject
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  const file = path.join(folder, `${date}-${suite === 'cpu' ? '' : `${suite}-`}${name}.json`);
  await writeFile(file, `${JSON.stringify({ date, suite, machine, ...measured }, null, 2)}\n`);
  return file;
}
