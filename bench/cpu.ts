/**
 * The CPU devices side by side, and PyTorch where it is installed: matrix products in three orientations, prefill, decode,
 * training, memory. Each runs in its own process; the table goes to the terminal, the numbers with the machine's description to bench/results.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { UserError } from '../engine/errors.ts';
import { filesAt } from '../engine/formats/folder.node.ts';
import { openModel } from '../engine/formats/model-files.ts';
import '../engine/formats/source.node.ts';
import type { CpuDevice, CpuMeasurement } from './cpu-device.ts';
import { describeMachine, saveResults } from './results.ts';
import { torchRates, type TorchRates } from './torch.ts';

export type CpuOptions = {
  readonly model?: string | undefined;
  readonly devices: readonly string[];
  /** What may have PyTorch. */
  readonly python: string;
  readonly json: boolean;
  readonly out?: string | undefined;
};

const DEVICES: readonly CpuDevice[] = ['wasm', 'wasm-stock', 'cpu'];
const root = path.join(import.meta.dirname, '..');

export async function benchCpu(options: CpuOptions): Promise<void> {
  const model = findModel(options.model);
  const unknown = options.devices.find((d) => !(DEVICES as readonly string[]).includes(d));
  if (unknown !== undefined) throw new UserError(`unknown device "${unknown}"; choose from ${DEVICES.join(', ')}`);
  const say = (line: string): void => (options.json ? console.error(line) : console.log(line));
  const machine = describeMachine();
  say(`${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}`);
  if (machine.loadBefore > 0.5 * machine.cores)
    say(`other programs are busy (load ${machine.loadBefore}): all figures come out lower`);
  say(`model ${path.basename(model)}\n`);
  const results: CpuMeasurement[] = [];
  for (const device of options.devices as CpuDevice[]) {
    const started = performance.now();

    results.push(await measureApart(device, model));
    say(`measured ${device} in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  }
  const torch = await measureTorch(options.python, model);
  say('');
  say(table(results, torch));
  const measured = { model: path.basename(model), results, torch };
  const file = await saveResults('cpu', machine, machine.cpu, measured, options.out);
  say(`\nwritten to ${path.relative(process.cwd(), file)}`);
  const figures = figuresOf(results, torch);
  for (const [figure, value] of Object.entries(figures)) say(`${figure}: ${value}`);
  if (options.json) console.log(JSON.stringify({ event: 'done', ...figures }));
}

/** The same work as wasm's: see LOADS in cpu-device.ts. */
async function measureTorch(python: string, model: string): Promise<TorchRates | null> {
  const { config } = await openModel(await filesAt(model));
  return torchRates(python, {
    ...{ device: 'cpu', dtype: 'float32', model: config, prompt: 96, tokens: 48, batches: [1, 16] },
    ...{ examples: 16, response: 32, rank: 16, methods: ['full', 'lora'] },
  });
}

/** Ours against the best orientation of tfjs's own kernels, and against PyTorch. */
function figuresOf(results: readonly CpuMeasurement[], torch: TorchRates | null): Record<string, number> {
  const ours = results.find(({ device }) => device === 'wasm');
  const stock = results.find(({ device }) => device === 'wasm-stock');
  const ratio = (a: number, b: number): number => Number((a / b).toPrecision(3));
  if (!ours) return {};
  const { NN, NT, TN } = ours.gflops;
  return {
    ...(stock ? { matmul_vs_stock: ratio(Math.min(NN, NT, TN), Math.max(...Object.values(stock.gflops))) } : {}),
    ...(torch
      ? {
          decode_b1_vs_torch: ratio(ours.decodeTokensPerSecond.batch1, torch.decodeTokensPerSecond['1']),
          lora_step_vs_torch: ratio(ours.trainTokensPerSecond.lora16, torch.trainTokensPerSecond['lora']),
        }
      : {}),
  };
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

type Column = Omit<CpuMeasurement, 'model' | 'device' | 'gflops' | 'memory' | 'packedTokensPerSecond'> & {
  readonly packedTokensPerSecond?: CpuMeasurement['packedTokensPerSecond'];
  readonly device: string;
  readonly gflops: CpuMeasurement['gflops'] | null;
  readonly memory: CpuMeasurement['memory'] | null;
};

const torchColumn = ({
  name,
  decodeTokensPerSecond,
  prefillTokensPerSecond,
  trainTokensPerSecond,
}: TorchRates): Column => ({
  ...{ device: 'PyTorch', name, gflops: null, memory: null, prefillTokensPerSecond: prefillTokensPerSecond! },
  decodeTokensPerSecond: { batch1: decodeTokensPerSecond['1'], batch16: decodeTokensPerSecond['16'] },
  trainTokensPerSecond: { full: trainTokensPerSecond['full'], lora16: trainTokensPerSecond['lora'] },
});

function table(measured: readonly CpuMeasurement[], torch: TorchRates | null): string {
  const results: readonly Column[] = [...measured, ...(torch ? [torchColumn(torch)] : [])];
  const rate = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(2));
  const rows: [string, (r: Column) => string][] = [
    [
      'products NN / NT / TN, GFLOP/s',
      (r) => (r.gflops ? [r.gflops.NN, r.gflops.NT, r.gflops.TN].map(rate).join(' / ') : '–'),
    ],
    ['prefill, tokens/s', (r) => rate(r.prefillTokensPerSecond)],
    [
      'decode batch 1 / 16, tokens/s',
      (r) => `${rate(r.decodeTokensPerSecond.batch1)} / ${rate(r.decodeTokensPerSecond.batch16)}`,
    ],
    ...(['q8', 'q4'] as const).map((weights): [string, (r: Column) => string] => [
      `the same by ${weights} weights`,
      ({ packedTokensPerSecond: packed }) =>
        packed?.[weights] ? `${rate(packed[weights].batch1)} / ${rate(packed[weights].batch16)}` : '–',
    ]),
    ['train, full, tokens/s', (r) => rate(r.trainTokensPerSecond.full)],
    ['train, LoRA r16, tokens/s', (r) => rate(r.trainTokensPerSecond.lora16)],
    ['memory high-water mark, MiB', (r) => (r.memory ? (r.memory.peakRssBytes / 2 ** 20).toFixed(0) : '–')],
  ];
  const body = [['', ...results.map((r) => r.device)], ...rows.map(([label, cell]) => [label, ...results.map(cell)])];
  const widths = body[0]!.map((_, column) => Math.max(...body.map((row) => row[column]!.length)));
  return body
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
    .join('\n');
}
