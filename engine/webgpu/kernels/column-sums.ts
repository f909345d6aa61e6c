/**
 * Sums of columns: the gradient of a bias, and with weights that of a norm. Rows are cut into stretches that are summed side
 * by side; a second call sums the stretches, always in the same order.
 */
import { FLOATS, type Activation } from '../activation.ts';
import { itemOfThread, sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { reads, writes } from '../wgsl.ts';

/**
 * An item is four columns of a stretch. Weighted, every number of dy is multiplied by its own of x and its row's of scale.
 * Sums are multiplied by alpha. Bindings: dy [rows, 4 c4], x like dy, scale [rows], y [stretches, 4 c4].
 */
export function columnSumsKernel(cut: Cut, ofDy: Activation = FLOATS, ofX: Activation = FLOATS): SizedKernel {
  return sizedKernel('column sums', {
    bindings: [reads('dy', ofDy.four), reads('x', ofX.four), reads('scale', 'f32'), writes('y', 'vec4f')],
    counts: {},
    ...{ sizes: ['rows', 'c4', 'stretch', 'weighted'], reals: ['alpha'], threads: cut.threads, perGroup: cut.threads },
    main: `${itemOfThread(cut)}
  let column = item % c4;
  let first = item / c4 * stretch;
  var sum = vec4f();
  if (weighted == 1u) {
    for (var row = first; row < min(first + stretch, rows); row++) {
      sum = fma(vec4f(dy[row * c4 + column]), vec4f(x[row * c4 + column]) * scale[row], sum);
    }
  } else {
    for (var row = first; row < min(first + stretch, rows); row++) { sum += vec4f(dy[row * c4 + column]); }
  }
  y[item] = alpha * sum;`,
  });
}

/** [columns] */
export function columnSumsReference(
  columns: number,
  dy: Float32Array,
  x?: Float32Array,
  scale?: Float32Array,
): Float32Array {
  const out = new Float32Array(columns);
  for (const [i, value] of dy.entries())
    out[i % columns] += value * (x?.[i] ?? 1) * (scale?.[Math.floor(i / columns)] ?? 1);
  return out;
}
