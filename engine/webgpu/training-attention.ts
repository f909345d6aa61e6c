/**
 * Attention of the rows of a batch, forward and backward, chunk by chunk of queries: what stands between queries and keys is
 * never more than one chunk's, and of the forward pass only a number a row and head is kept.
 */
import type * as tf from '@tensorflow/tfjs';
import { elementOf, numbersOf } from './activation.ts';
import { KEY_TILE, SCORE_MODE } from './kernels/attend-rows.ts';
import { queryChunks, type QueryChunk } from './packed-rows.ts';
import { operand } from './recorder.ts';
import { floats, matrix, type Frame } from './training-frame.ts';

/** Numbers of one chunk's scores: 32 MiB. */
export const CHUNK_NUMBERS = 2 ** 23;

/** A buffer for the scores of any chunk; sizes go by doubling, so that few different ones are ever asked for. */
function scratch({ gpu, config, rows }: Frame, chunks: readonly QueryChunk[]): tf.Tensor {
  const largest = chunks.reduce((most, { firstRow, endRow }) => Math.max(most, endRow - firstRow), 0);
  return gpu.allocate([2 ** Math.ceil(Math.log2(largest * config.heads * rows.stride))]);
}

function scores(
  { gpu, recorder, kernels, config, rows, tables }: Frame,
  { firstTile, tiles, firstRow }: QueryChunk,
  mode: keyof typeof SCORE_MODE,
  [x, y, stats, p, out]: readonly [tf.Tensor, tf.Tensor, tf.Tensor | null, tf.Tensor | null, tf.Tensor],
): void {
  const { stride } = rows;
  recorder.add(
    kernels.scores,
    (tiles * config.heads * stride) / KEY_TILE,
    { firstTile, firstRow, stride, mode: SCORE_MODE[mode] },
    [
      gpu.bufferOf(tables.queryTiles),
      operand(kernels.scores, 'x', gpu.bufferOf(x), numbersOf(x), elementOf(x).bytes),
      operand(kernels.scores, 'y', gpu.bufferOf(y), numbersOf(y), elementOf(y).bytes),
      ...[stats, p, out].map((tensor) => tensor && gpu.bufferOf(tensor)),
    ],
  );
}

function mixRows(
  frame: Frame,
  { firstTile, tiles, firstRow }: QueryChunk,
  p: tf.Tensor,
  x: tf.Tensor,
  y: tf.Tensor,
): void {
  const { gpu, recorder, kernels, config, rows, tables } = frame;
  recorder.add(
    kernels.mixRows,
    (tiles * config.heads * config.headDim) / 4,
    { firstTile, firstRow, stride: rows.stride },
    [tables.queryTiles, p, x, y].map((tensor) => gpu.bufferOf(tensor)),
  );
}

function mixKeys(frame: Frame, { firstRow, endRow }: QueryChunk, p: tf.Tensor, x: tf.Tensor, y: tf.Tensor): void {
  const { gpu, recorder, kernels, config, rows, tables } = frame;
  recorder.add(
    kernels.mixKeys,
    (rows.keyTiles.length / 4) * config.kvHeads * (config.headDim / 4),
    { firstRow, endRow, stride: rows.stride, add: firstRow > 0 ? 1 : 0 },
    [tables.keyTiles, p, x, y].map((tensor) => gpu.bufferOf(tensor)),
  );
}

/** q [rows, heads · headDim], k and v [rows, kvHeads · headDim]; mixed like q, lse [rows, heads]. */
export function attend(
  frame: Frame,
  { q, k, v }: { readonly [name in 'q' | 'k' | 'v']: tf.Tensor },
): { readonly mixed: tf.Tensor; readonly lse: tf.Tensor } {
  const { gpu, recorder, kernels, config, rows, tables } = frame;
  const mixed = matrix(frame, config.heads * config.headDim);
  const lse = floats(frame, config.heads);
  const chunks = queryChunks(rows, config.heads, CHUNK_NUMBERS);
  const p = scratch(frame, chunks);
  for (const chunk of chunks) {
    const { firstRow, endRow } = chunk;
    scores(frame, chunk, 'scores', [q, k, null, null, p]);
    recorder.add(kernels.weigh, (endRow - firstRow) * config.heads, { firstRow, stride: rows.stride }, [
      ...[tables.positions, p, lse].map((tensor) => gpu.bufferOf(tensor)),
    ]);
    mixRows(frame, chunk, p, v, mixed);
  }
  p.dispose();
  return { mixed, lse };
}

/** Gradients of q, k and v. dMixed: like mixed. */
export function attendBack(
  frame: Frame,
  { q, k, v, mixed, lse }: { readonly [name in 'q' | 'k' | 'v' | 'mixed' | 'lse']: tf.Tensor },
  dMixed: tf.Tensor,
): { readonly dq: tf.Tensor; readonly dk: tf.Tensor; readonly dv: tf.Tensor } {
  const { gpu, recorder, kernels, config, rows } = frame;
  const [dq, dk, dv] = [config.heads, config.kvHeads, config.kvHeads].map((heads) =>
    matrix(frame, heads * config.headDim),
  );
  const delta = floats(frame, config.heads);
  recorder.add(kernels.rowDots, rows.count * config.heads, {}, [dMixed, mixed, delta].map((x) => gpu.bufferOf(x))); // prettier-ignore
  const chunks = queryChunks(rows, config.heads, CHUNK_NUMBERS);
  const [p, ds] = [scratch(frame, chunks), scratch(frame, chunks)];
  for (const chunk of chunks) {
    scores(frame, chunk, 'weights', [q, k, lse, null, p]);
    scores(frame, chunk, 'gradient', [dMixed, v, delta, p, ds]);
    mixRows(frame, chunk, ds, k, dq);
    mixKeys(frame, chunk, ds, q, dk);
    mixKeys(frame, chunk, p, dMixed, dv);
  }
  for (const tensor of [delta, p, ds]) tensor.dispose();
  return { dq, dk, dv };
}
