/** y = silu(gate) · up on numbers side by side, and its gradients. Source: Shazeer 2020, "GLU variants", eq. 5. */
import { itemOfThread, sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { FLOATS, stored, storedGradient } from '../activation.ts';
import { reads, writes } from '../wgsl.ts';

/** σ(x); the bound only keeps the exponential finite, where σ is 0 in f32 anyway. */
const SIGMOID = 'fn sigmoid(x: vec4f) -> vec4f { return 1f / (1f + exp(min(-x, vec4f(87f)))); }';

/** An item is four numbers. Bindings: gate, up, y. */
export function swigluKernel(cut: Cut, { four } = FLOATS): SizedKernel {
  return sizedKernel('swiglu', {
    bindings: [reads('gate', four), reads('up', four), writes('y', four)],
    ...{ counts: {}, threads: cut.threads, perGroup: cut.threads, functions: SIGMOID },
    main: `${itemOfThread(cut)}
  let x = vec4f(gate[item]);
  y[item] = ${stored(four, 'x * sigmoid(x) * vec4f(up[item])')};`,
  });
}

/** d up = dy silu(gate); d gate = dy up σ(gate) (1 + gate (1 - σ(gate))), which takes dy's place. Bindings: gate, up, dy, dup. */
export function swigluGradKernel(cut: Cut, { four } = FLOATS): SizedKernel {
  return sizedKernel('swiglu gradient', {
    bindings: [reads('gate', four), reads('up', four), writes('dy', four), writes('dup', four)],
    ...{ counts: {}, threads: cut.threads, perGroup: cut.threads, functions: SIGMOID },
    main: `${itemOfThread(cut)}
  let x = vec4f(gate[item]);
  let d = vec4f(dy[item]);
  let s = sigmoid(x);
  let ofUp = d * x * s;
  let ofGate = d * vec4f(up[item]) * s * (1f + x * (1f - s));
  dup[item] = ${storedGradient(four, 'ofUp')};
  dy[item] = ${storedGradient(four, 'ofGate')};`,
  });
}

const silu = (x: number): number => x / (1 + Math.exp(-x));

export function swigluReference(gate: Float32Array, up: Float32Array): Float32Array {
  return gate.map((x, i) => silu(x) * up[i]);
}

/** By finite differences. */
export function swigluGradReference(
  gate: Float32Array,
  up: Float32Array,
  dy: Float32Array,
): { dy: Float32Array; dup: Float32Array } {
  const step = 1e-4;
  return {
    dy: gate.map((x, i) => (dy[i] * up[i] * (silu(x + step) - silu(x - step))) / (2 * step)),
    dup: gate.map((x, i) => dy[i] * silu(x)),
  };
}
