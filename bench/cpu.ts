/**
 * The CPU devices side by side: matrix products in three orientations, prefill, decode, training, memory. Each device runs
 * in its own process; the table goes to the terminal, the numbers with the machine's description to bench/results.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { UserError } from '../engine/errors.ts';
import type { CpuDevice, CpuMeasurement } from './cpu-device.ts';
import { describeMachine, saveResults } from './results.ts';

export type CpuOptions = {
  readonly model?: string | undefined;
  readonly devices: readonly string[];
  readonly out?: string | undefined;
};

const DEVICES: readonly CpuDevice[] = ['wasm', 'wasm-stock', 'cpu'];
const root = path.join(import.meta.dirname, '..');

export async function benchCpu(options: CpuOptions): Promise<void> {
  const model = findModel(options.model);
  const unknown = options.devices.find((d) => !(DEVICES as readonly string[]).includes(d));
  if (unknown !== undefined) throw new UserError(`unknown device "${unknown}"; choose from ${DEVICES.join(', ')}`);
  const machine = describeMachine();
  console.log(
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}`,
  );
  if (machine.loadBefore > 0.5 * machine.cores)
    console.log(`other programs are busy (load ${machine.loadBefore}): all figures come out lower`);
  console.log(`model ${path.basename(model)}\n`);
  const results: CpuMeasurement[] = [];
  for (const device of options.devices as CpuDevice[]) {
    const started = performance.now();
    process.stdout.write(`measuring ${device} … `);
    results.push(await measureApart(device, model));
    console.log(`${((performance.now() - started) / 1000).toFixed(0)} s`);
  }
  console.log('');
  console.log(table(results));
  const file = await saveResults('cpu', machine, machine.cpu, { model: path.basename(model), results }, options.out);
  console.log(`\nwritten to ${path.relative(process.cwd(), file)}`);
}

function findModel(named: string | undefined): string {
  const shared = process.env['TROUPE_SHARED'] ?? path.join(root, '..', 'shared');
  const places =
    named === undefined ? [path.join(shared, 'data/models/minimind2-small'), path.join(root, 'models/nano')] : [named];
  const found = places.find((place) => existsSync(place));
  if (found === undefined) throw new UserError(`no model at ${places.join(' or ')}; name one with --model`);
  return path.resolve(found);
}

async function measureApart(device: CpuDevice, model: string): Promise<CpuMeasurement> {
  const script = path.join(import.meta.dirname, 'cpu-device.ts');
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, script, device, model], {
      maxBuffer: 2 ** 24,
    });
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as CpuMeasurement;
  } catch (error) {
    const stderr = (error as { stderr?: string }).stderr ?? '';
    throw new Error(`measuring ${device} failed\n${stderr.slice(-2000)}`, { cause: error });
  }
}

function table(results: readonly CpuMeasurement[]): string {
  const rate = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(2));
  const rows: [string, (r: CpuMeasurement) => string][] = [
    ['products NN / NT / TN, GFLOP/s', (r) => [r.gflops.NN, r.gflops.NT, r.gflops.TN].map(rate).join(' / ')],
    ['prefill, tokens/s', (r) => rate(r.prefillTokensPerSecond)],
    ['decode batch 1, tokens/s', (r) => rate(r.decodeTokensPerSecond.batch1)],
    ['decode batch 16, tokens/s', (r) => rate(r.decodeTokensPerSecond.batch16)],
    ['train, full, tokens/s', (r) => rate(r.trainTokensPerSecond.full)],
    ['train, LoRA r16, tokens/s', (r) => rate(r.trainTokensPerSecond.lora16)],
    ['memory high-water mark, MiB', (r) => (r.memory.peakRssBytes / 2 ** 20).toFixed(0)],
  ];
  const body = [['', ...results.map((r) => r.device)], ...rows.map(([label, cell]) => [label, ...results.map(cell)])];
  const widths = body[0]!.map((_, column) => Math.max(...body.map((row) => row[column]!.length)));
  return body
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
    .join('\n');
}
