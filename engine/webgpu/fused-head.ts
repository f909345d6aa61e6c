/**
 * Log-probs and entropies of given tokens as one operation of tfjs's tape, with its gradient by hand. Logits of all rows exist
 * for a stretch of the vocabulary at a time, and are computed again on the way back; only where all of them fit the scratch
 * are they kept. n response tokens, d hidden size, V vocabulary.
 */
import * as tf from '@tensorflow/tfjs';
import type { Bound, Gpu } from './gpu.ts';
import { CARRIED, carryLogitsKernel, logitsGradKernel, scoreLogitsKernel } from './kernels/head-scores.ts';
import { recordProduct, products } from './record-product.ts';
import { Recorder } from './recorder.ts';
import { cutFor, type Cut } from './sized-kernel.ts';
import { mostTexelBytes } from './texels.ts';

export type FusedHeadOptions = {
  /** Whether gradients flow through the entropies. */
  readonly entropyGradient: boolean;
  /** Whether the head matrix gets a gradient. */
  readonly trainHead: boolean;
};

/** Logits of a stretch: 64 MiB. */
export const STRETCH_NUMBERS = 2 ** 24;
/** A stretch is a multiple of so many tokens, so that its part of the matrix starts where a binding may. */
const TOKEN_STEP = 64;

type Stretch = { readonly first: number; readonly width: number };

type Head = {
  readonly gpu: Gpu;
  readonly recorder: Recorder;
  readonly products: ReturnType<typeof products>;
  readonly carry: ReturnType<typeof carryLogitsKernel>;
  readonly score: ReturnType<typeof scoreLogitsKernel>;
  readonly grad: ReturnType<typeof logitsGradKernel>;
};

const heads = new WeakMap<Gpu, Map<string, Head>>();

function headOf(gpu: Gpu, cut: Cut): Head {
  const known = heads.get(gpu) ?? new Map<string, Head>();
  heads.set(gpu, known);
  const key = JSON.stringify(cut);
  const head = known.get(key) ?? {
    ...{ gpu, recorder: new Recorder(gpu), products: products(cut) },
    ...{ carry: carryLogitsKernel(cut), score: scoreLogitsKernel(cut), grad: logitsGradKernel(cut) },
  };
  known.set(key, head);
  return head;
}

export function fusedHeadFits(weight: tf.Tensor2D): boolean {
  return weight.shape.every((size) => size % 4 === 0);
}

/**
 * hidden: [n, d]; weight: [V, d]; ids: [n] -> [n, 2] of log-prob and entropy. Differentiable in hidden and, if asked, weight.
 * `numbers` bounds the scratch, `bytes` a stretch's part of the matrix: what the device binds or reads as a texture at once.
 */
export function fusedScores(
  gpu: Gpu,
  hidden: tf.Tensor2D,
  weight: tf.Tensor2D,
  ids: Int32Array,
  { entropyGradient, trainHead }: FusedHeadOptions,
  limits: { readonly cut?: Cut; readonly numbers?: number; readonly bytes?: number } = {},
): tf.Tensor2D {
  const { cut = cutFor(gpu), numbers = STRETCH_NUMBERS, bytes = mostBytes(gpu, cut) } = limits;
  const head = headOf(gpu, cut);
  const rows = ids.length;
  const [vocab, columns] = weight.shape;
  const stretches = stretchesOf(vocab, Math.min(numbers / rows, bytes / 4 / columns));
  const taped = tf.engine().state.gradientDepth > 0;
  const op = tf.customGrad((...inputs) => {
    const save = inputs.pop() as tf.GradSaveFunc;
    const chosen = tf.tensor1d(ids, 'int32');
    const z = scratch(gpu, rows, stretches);
    const carried = gpu.allocate([rows * CARRIED]);
    const scores = gpu.allocate<tf.Tensor2D>([rows, 2]);
    const shared = { hidden, weight, chosen, z, carried };
    recorded(head, () => {
      for (const stretch of stretches) {
        logits(head, shared, stretch);
        head.recorder.add(head.carry, rows, stretch, [chosen, z, carried].map((x) => gpu.bufferOf(x))); // prettier-ignore
      }
      head.recorder.add(head.score, rows, {}, [carried, scores].map((x) => gpu.bufferOf(x))); // prettier-ignore
    });
    const whole = stretches.length === 1;
    if (taped) save(whole ? [hidden, weight, chosen, carried, z] : [hidden, weight, chosen, carried]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] =>
      tf.tidy(() => {
        const [x, w, chosenAgain, carriedAgain] = saved;
        const again = whole ? saved[4] : scratch(gpu, rows, stretches);
        const all = { hidden: x, weight: w, chosen: chosenAgain, z: again, carried: carriedAgain };
        return backward(head, all, dy, stretches, { entropyGradient, trainHead });
      });
    return { value: scores, gradFunc };
  });
  return (trainHead ? op(hidden, weight) : op(hidden)) as tf.Tensor2D;
}

type Shared = Readonly<Record<'hidden' | 'weight' | 'chosen' | 'z' | 'carried', tf.Tensor>>;

/** What was recorded before a failure is never submitted. The tensors are on the device before the first dispatch. */
function recorded({ recorder }: Head, record: () => void): void {
  try {
    record();
    recorder.submit();
  } catch (error) {
    recorder.drop();
    throw error;
  }
}

function mostBytes({ device: { limits } }: Gpu, { handRound }: Cut): number {
  const bound = limits.maxStorageBufferBindingSize;
  return handRound > 0 ? Math.min(bound, mostTexelBytes(limits)) : bound;
}

function stretchesOf(vocab: number, tokens: number): Stretch[] {
  const most = Math.max(TOKEN_STEP, Math.floor(tokens / TOKEN_STEP) * TOKEN_STEP);
  const size = most >= vocab ? vocab : most;
  return Array.from({ length: Math.ceil(vocab / size) }, (_, i) => ({
    first: i * size,
    width: Math.min(size, vocab - i * size),
  }));
}

/** Sizes go by doubling, so that few different ones are ever asked for. */
function scratch(gpu: Gpu, rows: number, stretches: readonly Stretch[]): tf.Tensor {
  return gpu.allocate([2 ** Math.ceil(Math.log2(rows * stretches[0].width))]);
}

/** Rows of the head's matrix, or of its gradient. */
function part(gpu: Gpu, matrix: tf.Tensor, { first, width }: Stretch): Bound {
  const columns = matrix.shape[1]!;
  return { buffer: gpu.bufferOf(matrix), offset: first * columns * 4, size: width * columns * 4 };
}

function logits({ gpu, recorder, products }: Head, { hidden, weight, z }: Shared, stretch: Stretch): void {
  const [m, k] = hidden.shape as [number, number];
  const operands = [gpu.bufferOf(hidden), part(gpu, weight, stretch), gpu.bufferOf(z)] as const;
  recordProduct(recorder, products, 'nt', { m, n: stretch.width, k }, operands);
}

function backward(
  head: Head,
  shared: Shared,
  dy: tf.Tensor,
  stretches: readonly Stretch[],
  { entropyGradient, trainHead }: FusedHeadOptions,
): tf.Tensor[] {
  const { gpu, recorder, products } = head;
  const { hidden, weight, chosen, z, carried } = shared;
  const [rows, d] = hidden.shape as [number, number];
  const dHidden = gpu.allocate([rows, d]);
  const dWeight = trainHead ? gpu.allocate(weight.shape) : null;
  gpu.bufferOf(dy);
  recorded(head, () => {
    for (const [i, stretch] of stretches.entries()) {
      const { first, width } = stretch;
      if (stretches.length > 1) logits(head, shared, stretch);
      const sizes = { first, w4: width / 4, ofEntropy: entropyGradient ? 1 : 0 };
      recorder.add(head.grad, (rows * width) / 4, sizes, [chosen, carried, dy, z].map((x) => gpu.bufferOf(x))); // prettier-ignore
      const [dz, x, dx] = [z, hidden, dHidden].map((tensor) => gpu.bufferOf(tensor));
      const mode = i > 0 ? 'add' : 'replace';
      recordProduct(recorder, products, 'nn', { m: rows, n: d, k: width }, [dz, part(gpu, weight, stretch), dx], mode);
      if (dWeight)
        recordProduct(recorder, products, 'tn', { m: width, n: d, k: rows }, [dz, x, part(gpu, dWeight, stretch)]);
    }
  });
  return dWeight ? [dHidden, dWeight] : [dHidden];
}
