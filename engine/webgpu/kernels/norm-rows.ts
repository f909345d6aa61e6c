/**
 * RMS norm of rows with its gradient. y = x s w with s = 1 / sqrt(mean(x²) + eps); dx = s (g - x s mean(g x s)), g = w dy. A
 * row is a token, or one head of a token for the norms of queries and keys. The weight's gradient is a column sum of
 * dy x s: `column-sums.ts`. Source: Zhang & Sennrich 2019, eq. 4.
 */
import { FLOATS, stored, storedGradient, type Activation } from '../activation.ts';
import { rowOfThread, rowShader, sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { reads, writes } from '../wgsl.ts';

/** An item is a row of 4 c4 numbers. Bindings: x, weight, y, scale [rows]. */
export function normRowsKernel(eps: number, cut: Cut, from: Activation = FLOATS, to: Activation = FLOATS): SizedKernel {
  return sizedKernel('norm rows', {
    ...rowShader(cut),
    bindings: [reads('x', from.four), reads('weight', 'vec4f'), writes('y', to.four), writes('scale', 'f32')],
    counts: { TEAM: cut.team },
    numbers: { EPS: eps },
    sizes: ['c4'],
    main: `${rowOfThread(cut)}
  let at = row * c4;
  var square = 0f;
  for (var i = place; i < c4; i += TEAM) { let v = vec4f(x[at + i]); square += dot(v, v); }
  let s = inverseSqrt(total(square, thread) / f32(4u * c4) + EPS);
  if (place == 0u) { scale[row] = s; }
  for (var i = place; i < c4; i += TEAM) { y[at + i] = ${stored(to.four, 'vec4f(x[at + i]) * s * weight[i]')}; }`,
  });
}

type NormElements = Readonly<Record<'x' | 'dy' | 'dx', Activation>>;
const ALL_FLOATS: NormElements = { x: FLOATS, dy: FLOATS, dx: FLOATS };

/** An item is a row. With `add`, on top of what dx holds. Bindings: x, weight, scale, dy, dx. */
export function normRowsGradKernel(cut: Cut, { x, dy, dx }: NormElements = ALL_FLOATS): SizedKernel {
  return sizedKernel('norm rows gradient', {
    ...rowShader(cut),
    bindings: [
      ...[reads('x', x.four), reads('weight', 'vec4f'), reads('scale', 'f32')],
      ...[reads('dy', dy.four), writes('dx', dx.four)],
    ],
    counts: { TEAM: cut.team },
    sizes: ['c4', 'add'],
    main: `${rowOfThread(cut)}
  let at = row * c4;
  let s = scale[row];
  var own = 0f;
  for (var i = place; i < c4; i += TEAM) { own += dot(weight[i] * vec4f(dy[at + i]), vec4f(x[at + i])); }
  let mean = total(own, thread) * s / f32(4u * c4);
  for (var i = place; i < c4; i += TEAM) {
    let grad = s * (weight[i] * vec4f(dy[at + i]) - vec4f(x[at + i]) * (s * mean));
    let all = grad + select(vec4f(), vec4f(dx[at + i]), add == 1u);
    dx[at + i] = ${storedGradient(dx.four, 'all')};
  }`,
  });
}

type Rows = { readonly x: Float32Array; readonly weight: Float32Array };

export function normRowsReference(eps: number, { x, weight }: Rows): { y: Float32Array; scale: Float32Array } {
  const columns = weight.length;
  const scale = Float32Array.from({ length: x.length / columns }, (_, row) => {
    const own = x.subarray(row * columns, (row + 1) * columns);
    return 1 / Math.sqrt(own.reduce((sum, v) => sum + v * v, 0) / columns + eps);
  });
  return { y: x.map((v, i) => v * scale[Math.floor(i / columns)] * weight[i % columns]), scale };
}

/** By finite differences of Σ dy y. */
export function normRowsGradReference(eps: number, { x, weight }: Rows, dy: Float32Array): Float32Array {
  const loss = (moved: Float32Array): number =>
    normRowsReference(eps, { x: moved, weight }).y.reduce((sum, v, i) => sum + v * dy[i], 0);
  const step = 1e-2;
  return x.map((v, i) => (loss(x.with(i, v + step)) - loss(x.with(i, v - step))) / (2 * step));
}
