/** What every suite of the WebGPU measurements is given, and the figures it may add to the closing line. */
import type { Device } from '../engine/device/open.ts';
import { saveResults, type Machine } from './results.ts';

export type Bench = {
  readonly machine: Machine;
  readonly device: Device;
  readonly out: string | undefined;
  /** What may have PyTorch. */
  readonly python: string;
  say(line: string): void;
};

export type Figure =
  'matmul_vs_tfjs' | 'lora_step_vs_tfjs' | 'decode_b1_vs_tfjs' | 'decode_b32_vs_tfjs' | 'dispatches_per_token';
export type Figures = Readonly<Partial<Record<Figure, number>>>;

export async function keepResults(
  { machine, device, out, say }: Bench,
  suite: string,
  measured: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { name, features } = device.info;
  const file = await saveResults(suite, machine, name, { adapter: { name, features }, ...measured }, out);
  say(`written to ${file}\n`);
}

/** What took longer once is not timed again: on emulated adapters plain operations take minutes. */
export const SLOW_SECONDS = 15;

/** Three digits, as a measurement deserves. */
export const rounded = (value: number): number => Number(value.toPrecision(3));
