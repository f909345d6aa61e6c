/**
 * AdamW over a stretch of flat arrays, in place and in one dispatch. Bias corrections and the clipping scale come from the
 * host. Source: Loshchilov & Hutter 2019, algorithm 2, as torch.optim.AdamW computes it.
 */
import { itemOfThread, sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { reads, writes } from '../wgsl.ts';

export type AdamwFactors = {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** What the gradient is multiplied with first. */
  readonly scale: number;
  /** lr / (1 - beta1^t), sqrt(1 - beta2^t), 1 - lr · weight decay. */
  readonly step: number;
  readonly root: number;
  readonly decay: number;
};

/** An item is a number from `first` on. Bindings: g, p, m, v. */
export function adamwKernel(cut: Cut): SizedKernel {
  return sizedKernel('adamw', {
    bindings: [reads('g', 'f32'), writes('p', 'f32'), writes('m', 'f32'), writes('v', 'f32')],
    ...{ counts: {}, threads: cut.threads, perGroup: cut.threads },
    ...{ sizes: ['first'], reals: ['beta1', 'rest1', 'beta2', 'rest2', 'epsilon', 'scale', 'step', 'root', 'decay'] },
    main: `${itemOfThread(cut)}
  let i = first + item;
  let grad = g[i] * scale;
  let moment1 = beta1 * m[i] + rest1 * grad;
  let moment2 = beta2 * v[i] + rest2 * grad * grad;
  m[i] = moment1;
  v[i] = moment2;
  p[i] = p[i] * decay - step * moment1 / (sqrt(moment2) / root + epsilon);`,
  });
}

export type AdamwArrays = { readonly [name in 'g' | 'p' | 'm' | 'v']: Float32Array };

/** The same in plain loops; of the numbers from `first` on, `count` many. */
export function adamwReference(
  { beta1, beta2, epsilon, scale, step, root, decay }: AdamwFactors,
  first: number,
  count: number,
  { g, ...before }: AdamwArrays,
): Omit<AdamwArrays, 'g'> {
  const [p, m, v] = [before.p.slice(), before.m.slice(), before.v.slice()];
  for (let i = first; i < first + count; i++) {
    const grad = g[i] * scale;
    m[i] = beta1 * m[i] + (1 - beta1) * grad;
    v[i] = beta2 * v[i] + (1 - beta2) * grad * grad;
    p[i] = p[i] * decay - (step * m[i]) / (Math.sqrt(v[i]) / root + epsilon);
  }
  return { p, m, v };
}
