/**
 * One decoder layer over packed rows, forward and backward, by hand: of the forward pass only what the backward pass reads is
 * kept, and norms and gates are computed again. The last layer goes on with the picked rows alone after its attention.
 * The plain layer in model/tfjs-trunk.ts is its oracle.
 */
import * as tf from '@tensorflow/tfjs';
import { attend, attendBack } from './training-attention.ts';
import { linear, lowRows, matrix, norm, product, rotate, swiglu, take, weight, type Frame } from './training-frame.ts';

/**
 * x: the layer's input; q, k and v as attention reads them, but before their norm where heads are normed; mixed: what o_proj
 * read; a: the feed-forward part's input; its gate and up. Of the picked rows from `mixed` on.
 */
export type Kept = { readonly [name in 'x' | 'q' | 'k' | 'v' | 'mixed' | 'lse' | 'a' | 'gate' | 'up']: tf.Tensor };

export const KEPT = ['x', 'q', 'k', 'v', 'mixed', 'lse', 'a', 'gate', 'up'] as const satisfies readonly (keyof Kept)[];

/** Gradients by parameter name. */
export type Gradients = Map<string, tf.Tensor>;

const isLast = ({ config }: Frame, layer: number): boolean => layer === config.layers - 1;

export function layerForward(
  frame: Frame,
  layer: number,
  x: tf.Tensor,
): { readonly y: tf.Tensor; readonly kept: Kept } {
  const { config, rows, tables } = frame;
  const { hidden, heads, kvHeads, headDim } = config;
  const at = `model.layers.${layer}`;
  const last = isLast(frame, layer);
  const own = last ? rows.picks.length : rows.count;
  const n1 = norm(frame, x, rows.count, `${at}.input_layernorm`);
  const [q, k, v] = ['q', 'k', 'v'].map((name) => linear(frame, n1.y, rows.count, `${at}.self_attn.${name}_proj`));
  tf.dispose(n1);
  if (!config.qkNorm) {
    rotate(frame, q, heads, 1);
    rotate(frame, k, kvHeads, 1);
  }
  const seen = headsOf(frame, layer, { q, k });
  const { mixed: all, lse } = attend(frame, { ...seen, v });
  seen.dispose();
  const mixed = last ? take(frame, tables.picks, own, all, heads * headDim) : all;
  const through = last ? take(frame, tables.picks, own, x, hidden) : x;
  const a = linear(frame, mixed, own, `${at}.self_attn.o_proj`, through);
  if (last) tf.dispose([all, through]);
  const n2 = norm(frame, a, own, `${at}.post_attention_layernorm`);
  const [gate, up] = ['gate', 'up'].map((name) => linear(frame, n2.y, own, `${at}.mlp.${name}_proj`));
  tf.dispose(n2);
  const gated = swiglu(frame, gate, up, own);
  const y = linear(frame, gated, own, `${at}.mlp.down_proj`, a);
  gated.dispose();
  return { y, kept: { x, q, k, v, mixed, lse, a, gate, up } };
}

type Heads = { readonly q: tf.Tensor; readonly k: tf.Tensor; dispose(): void };

/** Queries and keys as attention reads them: where heads are normed, made from what is kept. */
function headsOf(frame: Frame, layer: number, { q, k }: Pick<Kept, 'q' | 'k'>): Heads {
  const { config, rows } = frame;
  if (!config.qkNorm) return { q, k, dispose: () => {} };
  const normed = (x: tf.Tensor, heads: number, name: string): tf.Tensor => {
    const { y, scale } = norm(frame, x, rows.count * heads, `model.layers.${layer}.self_attn.${name}`);
    scale.dispose();
    rotate(frame, y, heads, 1);
    return y;
  };
  const both = { q: normed(q, config.heads, 'q_norm'), k: normed(k, config.kvHeads, 'k_norm') };
  return { ...both, dispose: () => tf.dispose(both) };
}

// ---- backward ------------------------------------------------------------------------------------------------

/** From the gradient of the layer's output, which it uses up, to that of its input, or null where nobody asks for it. */
export function layerBackward(
  frame: Frame,
  layer: number,
  kept: Kept,
  dy: tf.Tensor,
  grads: Gradients,
  inputGradient: boolean,
): tf.Tensor | null {
  const { config, rows, tables } = frame;
  const at = `model.layers.${layer}`;
  const last = isLast(frame, layer);
  const own = last ? rows.picks.length : rows.count;
  feedForwardBack(frame, at, own, kept, dy, grads);
  const da = dy;
  const dMixedOwn = linearBack(frame, `${at}.self_attn.o_proj`, own, da, kept.mixed, grads)!;
  const width = config.heads * config.headDim;
  const back = (x: tf.Tensor, columns: number): tf.Tensor => take(frame, tables.places, rows.count, x, columns);
  const [dMixed, mixed] = last ? [back(dMixedOwn, width), back(kept.mixed, width)] : [dMixedOwn, kept.mixed];
  if (last) dMixedOwn.dispose();
  const heads = headsOf(frame, layer, kept);
  const { dq, dk, dv } = attendBack(frame, { ...heads, v: kept.v, mixed, lse: kept.lse }, dMixed);
  heads.dispose();
  tf.dispose(last ? [dMixed, mixed] : [dMixed]);
  const dQuery = headsBack(frame, `${at}.self_attn.q_norm`, kept.q, dq, config.heads, grads);
  const dKey = headsBack(frame, `${at}.self_attn.k_norm`, kept.k, dk, config.kvHeads, grads);
  const n1 = norm(frame, kept.x, rows.count, `${at}.input_layernorm`);
  const dn1 = inputGradient || trainsWeights(frame) ? matrix(frame, config.hidden) : null;
  for (const [i, [name, d]] of (
    [
      ['q', dQuery],
      ['k', dKey],
      ['v', dv],
    ] as const
  ).entries()) {
    // prettier-ignore
    linearBack(frame, `${at}.self_attn.${name}_proj`, rows.count, d, n1.y, grads, dn1 && { onto: dn1, add: i > 0 });
    d.dispose();
  }
  const dx = last ? back(da, config.hidden) : da;
  if (last) da.dispose();
  if (dn1) normBack(frame, `${at}.input_layernorm`, rows.count, kept.x, n1.scale, dn1, dx, true, grads);
  tf.dispose(dn1 ? [n1, dn1] : [n1]);
  if (inputGradient) return dx;
  dx.dispose();
  return null;
}

/** Adds to dy, the gradient of the layer's output, what comes back through the feed-forward part. */
function feedForwardBack(frame: Frame, at: string, own: number, kept: Kept, dy: tf.Tensor, grads: Gradients): void {
  const { gpu, recorder, kernels, config } = frame;
  const gated = learns(frame, `${at}.mlp.down_proj`) ? swiglu(frame, kept.gate, kept.up, own) : null;
  const dGate = linearBack(frame, `${at}.mlp.down_proj`, own, dy, gated, grads)!;
  gated?.dispose();
  const dUp = matrix(frame, config.intermediate);
  recorder.add(kernels.swigluGrad, (own * config.intermediate) / 4, {}, [
    ...[kept.gate, kept.up, dGate, dUp].map((x) => gpu.bufferOf(x)),
  ]);
  const n2 = norm(frame, kept.a, own, `${at}.post_attention_layernorm`);
  const dn2 = matrix(frame, config.hidden);
  linearBack(frame, `${at}.mlp.gate_proj`, own, dGate, n2.y, grads, { onto: dn2, add: false });
  linearBack(frame, `${at}.mlp.up_proj`, own, dUp, n2.y, grads, { onto: dn2, add: true });
  normBack(frame, `${at}.post_attention_layernorm`, own, kept.a, n2.scale, dn2, dy, true, grads);
  tf.dispose([dGate, dUp, n2.y, n2.scale, dn2]);
}

/** Through the rotation and the heads' norm. Uses d up. */
function headsBack(frame: Frame, name: string, x: tf.Tensor, d: tf.Tensor, heads: number, grads: Gradients): tf.Tensor {
  const { config, rows } = frame;
  rotate(frame, d, heads, -1);
  if (!config.qkNorm) return d;
  const { y, scale } = norm(frame, x, rows.count * heads, name);
  normBack(frame, name, rows.count * heads, x, scale, d, y, false, grads);
  tf.dispose([scale, d]);
  return y;
}

const trainsWeights = ({ using }: Frame): boolean => using.adapter === null;
const learns = (frame: Frame, name: string): boolean => trainsWeights(frame) || frame.pairs.has(name);

/**
 * Gradient of a norm's input, into dx or on top of it; its weight's goes to `grads`. Rows are as long as the weight.
 */
export function normBack(
  frame: Frame,
  name: string,
  rows: number,
  x: tf.Tensor,
  scale: tf.Tensor,
  dy: tf.Tensor,
  dx: tf.Tensor,
  add: boolean,
  grads: Gradients,
): void {
  const { gpu, recorder, kernels } = frame;
  const columns = weight(frame, name).size;
  if (trainsWeights(frame)) grads.set(`${name}.weight`, columnSums(frame, rows, columns, dy, { x, scale }));
  recorder.add(kernels.normGrad(x, dy, dx), rows, { c4: columns / 4, add: add ? 1 : 0 }, [
    ...[x, weight(frame, name), scale, dy, dx].map((tensor) => gpu.bufferOf(tensor)),
  ]);
}

/** Rows that are summed by one thread. */
const STRETCH = 64;

/** A parameter's gradient. // [columns] */
function columnSums(
  { gpu, recorder, kernels, lossScale }: Frame,
  rows: number,
  columns: number,
  dy: tf.Tensor,
  weighted?: { readonly x: tf.Tensor; readonly scale: tf.Tensor },
): tf.Tensor {
  const stretches = Math.ceil(rows / STRETCH);
  const [parts, sums] = [gpu.allocate([2 ** Math.ceil(Math.log2(stretches)) * columns]), gpu.allocate([columns])];
  const c4 = columns / 4;
  recorder.add(
    kernels.columnSums(...(weighted ? [dy, weighted.x] : [dy])),
    stretches * c4,
    { rows, c4, stretch: STRETCH, weighted: weighted ? 1 : 0, alpha: 1 },
    [dy, weighted?.x, weighted?.scale, parts].map((x) => (x ? gpu.bufferOf(x) : null)),
  );
  const last = { rows: stretches, c4, stretch: stretches, weighted: 0, alpha: 1 / lossScale };
  recorder.add(kernels.columnSums(parts), c4, last, [...[parts, null, null, sums].map((x) => x && gpu.bufferOf(x))]);
  parts.dispose();
  return sums;
}

/**
 * Gradient of a linear layer's input, into a matrix of its own, into or on top of a given one, or not at all (null); its own
 * tensors' go to `grads`. x: [rows, in], needed where the layer learns; dy: [rows, out].
 */
function linearBack(
  frame: Frame,
  name: string,
  rows: number,
  dy: tf.Tensor,
  x: tf.Tensor | null,
  grads: Gradients,
  into?: { readonly onto: tf.Tensor; readonly add: boolean } | null,
): tf.Tensor | null {
  const w = weight(frame, name);
  const [out, columns] = w.shape as [number, number];
  const dx = into === undefined ? matrix(frame, columns) : (into?.onto ?? null);
  if (dx) product(frame, 'nn', { m: rows, n: columns, k: out }, [dy, w, dx], into?.add ? 'add' : 'replace');
  if (trainsWeights(frame)) {
    const dw = frame.gpu.allocate([out, columns]);
    product(frame, 'tn', { m: out, n: columns, k: rows, alpha: 1 / frame.lossScale }, [dy, x!, dw]);
    grads.set(`${name}.weight`, dw);
    if (frame.using.weights[`${name}.bias`]) grads.set(`${name}.bias`, columnSums(frame, rows, out, dy));
  }
  if (frame.pairs.has(name)) lowBack(frame, name, rows, dy, x!, dx, grads);
  return dx;
}

/** dB = dyᵀ u, du = scale · dy B, dA = duᵀ x, and dx += du A: all through the rank, never through a matrix of the layer's size. */
function lowBack(
  frame: Frame,
  name: string,
  rows: number,
  dy: tf.Tensor,
  x: tf.Tensor,
  dx: tf.Tensor | null,
  grads: Gradients,
): void {
  const { gpu, using, pairs, lossScale } = frame;
  const pair = pairs.get(name)!;
  const [out, columns] = weight(frame, name).shape as [number, number];
  const { rank, a, b } = pair;
  const u = lowRows(frame, x, rows, columns, pair);
  const [da, db] = [gpu.allocate([rank, columns]), gpu.allocate([out, rank])];
  product(frame, 'tn', { m: out, n: rank, k: rows, alpha: 1 / lossScale }, [dy, u, db]);
  product(frame, 'nn', { m: rows, n: rank, k: out, alpha: using.adapter!.scale }, [dy, b, u]);
  product(frame, 'tn', { m: rank, n: columns, k: rows, alpha: 1 / lossScale }, [u, x, da]);
  if (dx) product(frame, 'nn', { m: rows, n: columns, k: rank }, [u, a, dx], 'add');
  u.dispose();
  grads.set(`${name}.lora_A`, da).set(`${name}.lora_B`, db);
}
