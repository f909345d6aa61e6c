/**
 * Tokens drawn from rows of logits in WebAssembly, where nothing of the distribution is cut off: what sample.ts does, with
 * the exponentials of all rows shared among threads and only one block of a row's weights walked on the host. Numbers agree
 * to float32's precision; a row's draw depends on nothing beside it.
 */
import * as tf from '@tensorflow/tfjs';
import { write } from '../device/elementwise-kernels.ts';
import { WEIGH_ARGS, WEIGHED } from '../device/wasm-gemm/weigh.ts';
import { activeWasm } from '../device/wasm-machine.ts';
import type { Sampling } from '../protocol.ts';
import { PURPOSE, uniform } from '../rollout/rng.ts';
import type { Choice } from '../rollout/sample.ts';

/** Draws the token of a row at its place in the sequence; null where sample.ts had better. */
export type RowDrawer = (row: number, position: number) => Choice | null;

/** Logits below which the host is quicker alone. */
const LEAST_SHARED = 16_384;

/**
 * Weighs all rows for their settings (null: of no interest) and hands `use` the logits and what draws from them, both good
 * for the moment; false where there is no such job. logits: [rows, vocab]; they are only read.
 */
export function drawWeighed(
  logits: tf.Tensor2D,
  samplings: readonly (Sampling | null)[],
  use: (logits: Float32Array, draw: RowDrawer) => void,
): boolean {
  const machine = tf.getBackend() === 'wasm' ? activeWasm() : null;
  const [rows, vocab] = logits.shape;
  if (!machine || vocab % 4 !== 0) return false;
  const blocks = Math.ceil(vocab / WEIGHED);
  const weights = machine.allocate([rows, vocab]);
  const numbers = machine.allocate([rows * (2 + 3 * blocks)]);
  const at = { logits: machine.addressOf(logits), weights: machine.addressOf(weights) };
  const [sharpness, most] = [machine.addressOf(numbers), machine.addressOf(numbers) + 4 * rows];
  const sums = most + 4 * rows;
  const floats = machine.team.floats();
  samplings.forEach((sampling, row) => (floats[sharpness / 4 + row] = 1 / (sampling?.temperature || 1)));
  write(machine.team, WEIGH_ARGS, { ...at, sharpness, most, sums, cols: vocab });
  machine.team.run('weigh', rows, rows * vocab >= LEAST_SHARED);
  const ofRow = (address: number, row: number, width: number): Float32Array =>
    floats.subarray(address / 4 + row * width, address / 4 + (row + 1) * width);
  try {
    use(floats.subarray(at.logits / 4, at.logits / 4 + rows * vocab), (row, position) => {
      const sampling = samplings[row];
      const largest = floats[most / 4 + row];
      if (!sampling || !isWhole(sampling) || !Number.isFinite(largest)) return null;
      const [own, weighed, blockSums] = [ofRow(at.logits, row, vocab), ofRow(at.weights, row, vocab), ofRow(sums, row, 3 * blocks)]; // prettier-ignore
      const id = sampling.temperature === 0 ? own.indexOf(largest) : placeOf(weighed, blockSums, uniform(sampling.seed, position, PURPOSE.sample)); // prettier-ignore
      const [sum, weighted] = [totalOf(blockSums, 0), totalOf(blockSums, 1)];
      const logSum = Math.log(sum);
      return { id, logprob: own[id] - largest - logSum, entropy: logSum - weighted / sum };
    });
  } finally {
    tf.dispose([weights, numbers]);
  }
  return true;
}

const isWhole = ({ temperature, topK, topP, minP }: Sampling): boolean =>
  temperature === 0 || (topK === 0 && topP === 1 && minP === 0);

function totalOf(blockSums: Float32Array, part: 0 | 1 | 2): number {
  let total = 0;
  for (let i = part; i < blockSums.length; i += 3) total += blockSums[i];
  return total;
}

/** First index whose cumulative weight exceeds u times them all; rounding falls back to the last of its block with any. */
function placeOf(weights: Float32Array, blockSums: Float32Array, u: number): number {
  const wanted = u * totalOf(blockSums, 2);
  let [before, upTo, block] = [0, 0, 0];
  for (let i = 0; 3 * i < blockSums.length && upTo <= wanted; i++) {
    if (blockSums[3 * i + 2] === 0) continue;
    [before, block] = [upTo, i];
    upTo += blockSums[3 * i + 2];
  }
  let [mass, last] = [before, block * WEIGHED];
  for (let i = block * WEIGHED; i < Math.min(weights.length, (block + 1) * WEIGHED); i++) {
    if (weights[i] === 0) continue;
    mass += weights[i];
    last = i;
    if (mass > wanted) break;
  }
  return last;
}
