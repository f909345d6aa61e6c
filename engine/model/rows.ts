/**
 * Some rows of a matrix, each at most once. Its gradient is then a gather as well, through the inverse and a row of zeros
 * for what was not taken: no scatter, which the backends do slowly or not at all.
 */
import * as tf from '@tensorflow/tfjs';

/** x: [n, d], rows: [m] distinct -> [m, d]. Differentiable in x. */
export function takeRows(x: tf.Tensor2D, rows: Int32Array): tf.Tensor2D {
  const inverse = new Int32Array(x.shape[0]).fill(rows.length);
  rows.forEach((row, i) => (inverse[row] = i));
  const op = tf.customGrad((input) => ({
    value: tf.gather(input as tf.Tensor2D, tf.tensor1d(rows, 'int32')),
    gradFunc: (dy: tf.Tensor2D) =>
      tf.gather(tf.concat2d([dy, tf.zeros([1, dy.shape[1]])], 0), tf.tensor1d(inverse, 'int32')),
  }));
  return op(x) as tf.Tensor2D;
}
