/** What every suite of the WebGPU measurements is given, and the figures it may add to the closing line. */
import type { Device } from '../engine/device/open.ts';
import { UserError } from '../engine/errors.ts';
import type { WeightPrecision } from '../engine/protocol.ts';
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
  | 'matmul_vs_tfjs'
  | 'lora_step_vs_tfjs'
  | 'decode_b1_vs_tfjs'
  | 'decode_b32_vs_tfjs'
  | 'dispatches_per_token'
  | 'rl_step_seconds'
  | 'rl_step_vs_verl';
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

export const PRECISIONS = ['f32', 'f16', 'q8', 'q4'] as const satisfies readonly WeightPrecision[];

export function precisionOf(name: string): WeightPrecision {
  const known = PRECISIONS.find((kind) => kind === name);
  if (!known) throw new UserError(`There are no ${name} weights; choose of ${PRECISIONS.join(', ')}`);
  return known;
}
