/**
 * AdamW over one flat variable, with a learning rate per part: the trunk's segments and the value head's. A part without a
 * rate is left exactly as it is, moments and all. Where tfjs computes on the CPU this is one loop over the arrays in place,
 * with hand-written kernels one dispatch, else about a dozen operations whatever the number of layers.
 */
import * as tf from '@tensorflow/tfjs';
import { handWrittenGpu } from '../model/choose-trunk.ts';
import type { Moments, Segment, Trainable } from '../model/policy.ts';
import { adamwInPlace } from '../webgpu/flat-adamw.ts';
import type { AdamwFactors } from '../webgpu/kernels/adamw.ts';
import type { FlatGradient } from './gradients.ts';
import { hostView } from './host.ts';

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

export type Part = Segment['part'];
export type StepSize = {
  /** Learning rate by part; null leaves the part alone. */
  readonly rates: Readonly<Record<Part, number | null>>;
  readonly weightDecay: number;
  /** Largest global norm; 0 is no limit. */
  readonly maxGradNorm: number;
};

type Run = { readonly part: Part; readonly begin: number; readonly end: number };

/**
 * One step: gradients scaled to a global norm of at most `maxGradNorm`, then m, v, bias correction and decoupled decay.
 * Returns the norm before scaling. A norm that is not finite changes nothing: the caller reports it.
 * Source: Loshchilov & Hutter 2019, algorithm 2, as torch.optim.AdamW computes it.
 */
export async function adamwStep(
  trainable: Trainable,
  moments: Moments,
  gradient: FlatGradient,
  size: StepSize,
): Promise<number> {
  const runs = runsOf(trainable.layout).filter((run) => size.rates[run.part] !== null);
  const norm = await globalNorm(gradient, runs);
  if (!Number.isFinite(norm)) return norm;
  const scale = size.maxGradNorm > 0 ? Math.min(1, size.maxGradNorm / (norm + 1e-6)) : 1;
  const steps = { ...moments.steps };
  for (const part of new Set(runs.map((run) => run.part))) steps[part]++;
  const factors = (run: Run): AdamwFactors =>
    factorsOf(size.rates[run.part] as number, size.weightDecay, steps[run.part], scale);
  if (gradient.host) stepOnHost(trainable, moments, gradient.host, runs, factors);
  else if (gradient.device) {
    const gpu = handWrittenGpu();
    const state = moments as DeviceMoments;
    if (gpu) adamwInPlace(gpu, { g: gradient.device, p: trainable.flat, m: state.m, v: state.v }, runs, factors);
    else stepOnDevice(trainable, state, gradient.device, runs, factors);
  }
  moments.steps = steps;
  return norm;
}

/** Neighbouring segments of one part, joined. */
export function runsOf(layout: readonly Segment[]): Run[] {
  const runs: { part: Part; begin: number; end: number }[] = [];
  for (const { part, offset, size } of layout) {
    const last = runs.at(-1);
    if (last && last.part === part && last.end === offset) last.end += size;
    else runs.push({ part, begin: offset, end: offset + size });
  }
  return runs;
}

function factorsOf(lr: number, weightDecay: number, t: number, scale: number): AdamwFactors {
  const constants = { beta1: BETA1, beta2: BETA2, epsilon: EPSILON };
  return {
    ...constants,
    step: lr / (1 - BETA1 ** t),
    root: Math.sqrt(1 - BETA2 ** t),
    decay: 1 - lr * weightDecay,
    scale,
  };
}

/** Square root of the sum of squares over the runs, summed in float64 on the CPU. */
export async function globalNorm(
  gradient: FlatGradient,
  runs: readonly { begin: number; end: number }[],
): Promise<number> {
  if (gradient.host) {
    let squares = 0;
    const g = gradient.host;
    for (const { begin, end } of runs) for (let i = begin; i < end; i++) squares += g[i] * g[i];
    return Math.sqrt(squares);
  }
  if (!gradient.device || runs.length === 0) return 0;
  const g = gradient.device;
  const squares = tf.tidy(() =>
    tf.addN(runs.map(({ begin, end }) => tf.sum(tf.square(tf.slice1d(g, begin, end - begin))))),
  );
  const [total] = await squares.data();
  squares.dispose();
  return Math.sqrt(total);
}

type FactorsOf = (run: Run) => AdamwFactors;
type DeviceMoments = Moments & { m: tf.Tensor1D; v: tf.Tensor1D };

function stepOnHost(
  trainable: Trainable,
  moments: Moments,
  g: Float32Array,
  runs: readonly Run[],
  factors: FactorsOf,
): void {
  const p = hostView(trainable.flat) as Float32Array;
  const { m, v } = moments as { m: Float32Array; v: Float32Array };
  for (const run of runs) {
    const { step, root, decay, scale } = factors(run);
    for (let i = run.begin; i < run.end; i++) {
      const grad = g[i] * scale;
      const first = (m[i] = BETA1 * m[i] + (1 - BETA1) * grad);
      const second = (v[i] = BETA2 * v[i] + (1 - BETA2) * grad * grad);
      p[i] = p[i] * decay - (step * first) / (Math.sqrt(second) / root + EPSILON);
    }
  }
}

function stepOnDevice(
  trainable: Trainable,
  state: DeviceMoments,
  gradient: tf.Tensor1D,
  runs: readonly Run[],
  factors: FactorsOf,
): void {
  for (const run of runs) {
    const { step, root, decay, scale } = factors(run);
    const [p, m, v] = tf.tidy(() => {
      const cut = (x: tf.Tensor1D) => tf.slice1d(x, run.begin, run.end - run.begin);
      const grad = tf.mul(cut(gradient), scale);
      const first = tf.add(tf.mul(cut(state.m), BETA1), tf.mul(grad, 1 - BETA1));
      const second = tf.add(tf.mul(cut(state.v), BETA2), tf.mul(tf.square(grad), 1 - BETA2));
      const denominator = tf.add(tf.div(tf.sqrt(second), root), EPSILON);
      const moved = tf.sub(tf.mul(cut(trainable.flat), decay), tf.div(tf.mul(first, step), denominator));
      return [splice(trainable.flat, moved, run), splice(state.m, first, run), splice(state.v, second, run)];
    });
    trainable.flat.assign(p);
    p.dispose();
    state.m.dispose();
    state.v.dispose();
    state.m = m;
    state.v = v;
  }
}

/** `whole` with the run replaced; the run's tensor itself where it is everything. */
function splice(whole: tf.Tensor1D, part: tf.Tensor, { begin, end }: Run): tf.Tensor1D {
  const size = whole.size;
  const pieces = [
    begin > 0 ? tf.slice1d(whole, 0, begin) : null,
    part as tf.Tensor1D,
    end < size ? tf.slice1d(whole, end, size - end) : null,
  ];
  return tf.concat1d(pieces.filter((piece) => piece !== null));
}
