/** PyTorch beside our own numbers, where the machine has it: torch_rates.py run once, at the same work. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import type { ModelConfig } from '../engine/formats/config.ts';
import type { Bench } from './suite.ts';

export type TorchLoad = {
  readonly device: 'cpu' | 'cuda';
  readonly dtype: 'float32' | 'float16' | 'bfloat16';
  readonly model: ModelConfig;
  /** Tokens of a prompt, and of what is decoded after it. */
  readonly prompt: number;
  readonly tokens: number;
  readonly batches: readonly number[];
  /** Of a training step: examples of `prompt` and `response` tokens. */
  readonly examples: number;
  readonly response: number;
  readonly rank: number;
  readonly methods: readonly string[];
};

export type TorchRates = {
  /** "PyTorch 2.15.0, 2 threads". */
  readonly name: string;
  readonly dtype: string;
  /** By batch. */
  readonly decodeTokensPerSecond: Readonly<Record<string, number>>;
  /** At the last of the batches; null where there is none. */
  readonly prefillTokensPerSecond: number | null;
  /** By method. */
  readonly trainTokensPerSecond: Readonly<Record<string, number>>;
};

/** Null where `python` is missing, has no PyTorch, or PyTorch has no such device. */
export async function torchRates(python: string, load: TorchLoad): Promise<TorchRates | null> {
  const script = path.join(import.meta.dirname, 'torch_rates.py');
  const { code, stdout, stderr } = await runPython(python, script, JSON.stringify(load));
  if (code === null) return null;
  if (code !== 0) throw new Error(`measuring PyTorch failed\n${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as TorchRates | null;
}

/** The same on the GPU that a bench runs on, said and returned; null on an emulated one, and where PyTorch sees none. */
export async function torchBeside(
  { device, python, say }: Bench,
  load: Omit<TorchLoad, 'device'>,
): Promise<TorchRates | null> {
  if (device.info.software) return null;
  const rates = await torchRates(python, { device: 'cuda', ...load });
  if (!rates) say('no PyTorch with a GPU here');
  else {
    const listed = (of: Readonly<Record<string, number>>, what: string): string[] =>
      Object.entries(of).map(([key, rate]) => `${what} ${key}: ${rate.toPrecision(3)}`);
    const { decodeTokensPerSecond: decode, trainTokensPerSecond: train } = rates;
    say(
      `${rates.name}, ${rates.dtype}, tokens/s: ${[...listed(decode, 'batch'), ...listed(train, 'step')].join(', ')}`,
    );
  }
  return rates;
}

/** A code of null: there is no such program. */
function runPython(
  python: string,
  script: string,
  input: string,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(python, [script]);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', () => resolve({ code: null, stdout, stderr }));
    child.on('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
    child.stdin.on('error', () => {}); // it ended before it read: its code says why
    child.stdin.end(input);
  });
}
