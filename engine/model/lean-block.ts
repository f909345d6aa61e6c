/**
 * One decoder layer as a single operation with a hand-written gradient, where the device has the fused kernels. tfjs's own
 * tape keeps every intermediate and every intermediate's gradient until the end: 5 MB a token for a model of 135M
 * parameters. This keeps what the backward pass reads and nothing else, about 1 MB. The plain layer in tfjs-trunk.ts is
 * its oracle. Rows are tokens, n of them; `picked` rows leave the attention of the last layer.
 */
import * as tf from '@tensorflow/tfjs';
import { FUSED } from '../device/decoder-kernels.ts';
import { fusedIsOn } from '../device/fused.ts';
import type { ModelConfig } from '../formats/config.ts';
import { LINEAR_LAYERS } from '../formats/peft.ts';
import { headRows, rowsOfHeads, seenRows, type HeadRows } from './attention.ts';
import { linear, weightOf } from './linear.ts';
import type { Rotation } from './rope.ts';
import type { RowLayout } from './row-layout.ts';
import type { ForwardWeights } from './trunk.ts';

export type Layer = {
  readonly config: ModelConfig;
  /** "model.layers.3" */
  readonly at: string;
  readonly layout: RowLayout;
  readonly rotation: Rotation;
  readonly pick?: Int32Array;
};

type Named = Record<string, tf.Tensor>;
type M = tf.Tensor2D;

/** Whether this device and this model's shape allow it. */
export function leanBlockFits(config: ModelConfig): boolean {
  const kernels = Object.values(FUSED).every((name) => tf.getKernel(name, tf.getBackend()) !== undefined);
  return kernels && fusedIsOn() && config.hidden % 4 === 0 && config.intermediate % 4 === 0 && config.headDim % 8 === 0;
}

/** x: [n, hidden] -> [n or picked, hidden]. Differentiable in x and in the adapter's tensors, or without adapter in the weights. */
export function leanBlock(layer: Layer, x: M, using: ForwardWeights): M {
  const trained = trainedOf(layer, using);
  const names = Object.keys(trained);
  const op = tf.customGrad((...inputs) => {
    const save = inputs.pop() as tf.GradSaveFunc;
    const own = inputs as tf.Tensor[];
    const { y, kept } = forward(layer, own[0] as M, using);
    const labels = Object.keys(kept);
    save(labels.map((label) => kept[label]));
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] =>
      tf.tidy(() => {
        const grads: Named = {};
        const dx = backward(
          layer,
          dy as M,
          Object.fromEntries(labels.map((label, i) => [label, saved[i]])),
          using,
          grads,
        );
        return [dx, ...names.map((name) => grads[name])];
      });
    return { value: y, gradFunc };
  });
  return op(x, ...names.map((name) => trained[name])) as M;
}

/** The layer's tensors that take a gradient. */
function trainedOf({ at }: Layer, using: ForwardWeights): Named {
  const trained: Named = {};
  if (using.adapter) {
    for (const linear of LINEAR_LAYERS) {
      const low = using.adapter.layers[`${at}.${linear}`];
      if (low) Object.assign(trained, { [`${at}.${linear}.lora_A`]: low.a, [`${at}.${linear}.lora_B`]: low.b });
    }
    return trained;
  }
  const vectors = [
    'input_layernorm.weight',
    'post_attention_layernorm.weight',
    'self_attn.q_norm.weight',
    'self_attn.k_norm.weight',
  ];
  for (const name of [...vectors, ...LINEAR_LAYERS.flatMap((linear) => [`${linear}.weight`, `${linear}.bias`])]) {
    if (using.weights[`${at}.${name}`]) trained[`${at}.${name}`] = using.weights[`${at}.${name}`];
  }
  return trained;
}

// ---- forward -------------------------------------------------------------------------------------------------

const run = (name: string, inputs: Named, attrs: tf.NamedAttrMap = {}): tf.Tensor =>
  tf.engine().runKernel(name, inputs as tf.NamedTensorMap, attrs) as tf.Tensor;

function norm(x: M, weight: tf.Tensor, eps: number): [y: M, scale: tf.Tensor] {
  return tf.engine().runKernel(FUSED.rmsNorm, { x, weight }, { eps }) as unknown as [M, tf.Tensor];
}

const rotate = (x: M, heads: number, { cos, sin }: Rotation, sign: 1 | -1): M =>
  run(FUSED.rope, { x, cos, sin }, { heads, sign }) as M;

function forward(layer: Layer, x: M, using: ForwardWeights): { y: M; kept: Named } {
  const { config, at, layout, pick } = layer;
  const weight = (name: string): tf.Tensor => weightOf(using.weights, `${at}.${name}.weight`);
  const [n1, s1] = norm(x, weight('input_layernorm'), config.rmsEps);
  const kept: Named = { x, s1 };
  const linearOf = (name: string): M => linear(n1, `${at}.self_attn.${name}`, using);
  const q = headRows(positioned(layer, linearOf('q_proj'), config.heads, 'q_norm', using, kept), layout, config.heads);
  const k = seenRows(
    positioned(layer, linearOf('k_proj'), config.kvHeads, 'k_norm', using, kept),
    layout,
    config.kvHeads,
  );
  const v = seenRows(linearOf('v_proj'), layout, config.kvHeads);
  const own = attend(q.own, k.all, v.all, layout.shared);
  const shared = q.shared && attend(q.shared, k.shared!, v.shared!, 0);
  const all = rowsOfHeads({ own: own.mixed, shared: shared && shared.mixed }, layout);
  const mixed = pick ? tf.gather(all, tf.tensor1d(pick, 'int32')) : all;
  const a: M = tf.add(
    pick ? tf.gather(x, tf.tensor1d(pick, 'int32')) : x,
    linear(mixed, `${at}.self_attn.o_proj`, using),
  );
  const [n2, s2] = norm(a, weight('post_attention_layernorm'), config.rmsEps);
  const gate = linear(n2, `${at}.mlp.gate_proj`, using);
  const up = linear(n2, `${at}.mlp.up_proj`, using);
  const y: M = tf.add(a, linear(run(FUSED.gated, { gate, up }) as M, `${at}.mlp.down_proj`, using));
  Object.assign(kept, { q: q.own, k: k.all, v: v.all, p: own.p, mixed, a, s2, gate, up });
  if (shared) Object.assign(kept, { q0: q.shared, k0: k.shared, v0: v.shared, p0: shared.p });
  return { y, kept };
}

/**
 * Attention of some rows' queries to the keys up to each, `before` of which come before the first. The query heads of a
 * group stand as rows against their key-value head. q: [batch * heads, length, headDim], k and v: [batch * kvHeads, keys, headDim]
 */
function attend(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  before: number,
): { mixed: tf.Tensor3D; p: tf.Tensor3D } {
  const [rows, length, headDim] = q.shape;
  const scores = tf.reshape(tf.matMul(byGroup(q, k), k, false, true), [rows, length, k.shape[1]]);
  const p = run(FUSED.causalSoftmax, { x: scores }, { scale: headDim ** -0.5, before }) as tf.Tensor3D;
  return { mixed: tf.reshape(tf.matMul(byGroup(p, k), v), q.shape), p };
}

/** Head norm where the model has one, then the rotation. // [n, heads * headDim] */
function positioned(
  layer: Layer,
  x: M,
  heads: number,
  name: 'q_norm' | 'k_norm',
  using: ForwardWeights,
  kept: Named,
): M {
  const { config, at, rotation } = layer;
  let rows = x;
  if (config.qkNorm) {
    const flat = tf.reshape(x, [x.shape[0] * heads, config.headDim]) as M;
    const [y, scale] = norm(flat, weightOf(using.weights, `${at}.self_attn.${name}.weight`), config.rmsEps);
    Object.assign(kept, { [`${name}.x`]: flat, [`${name}.scale`]: scale });
    rows = tf.reshape(y, x.shape);
  }
  return rotate(rows, heads, rotation, 1);
}

/** [batch * heads, length, …] -> [batch * kvHeads, group * length, …]; k: [batch * kvHeads, …] */
function byGroup(x: tf.Tensor3D, k: tf.Tensor3D): tf.Tensor3D {
  return tf.reshape(x, [k.shape[0], -1, x.shape[2]]);
}

// ---- backward ------------------------------------------------------------------------------------------------

/** Returns dx and fills `grads`. dy: [n or picked, hidden] */
function backward(layer: Layer, dy: M, kept: Named, using: ForwardWeights, grads: Named): M {
  const { at, pick } = layer;
  const a = kept.a as M;
  const dn2 = feedForwardBack(layer, dy, kept, using, grads);
  const da: M = tf.add(dy, normBack(a, `${at}.post_attention_layernorm`, kept.s2, dn2, using, grads));
  const dMixed = linearBack(kept.mixed as M, `${at}.self_attn.o_proj`, da, using, grads);
  const rows = (kept.x as M).shape[0];
  const dn1 = attentionBack(layer, pick ? putRows(dMixed, pick, rows) : dMixed, kept, using, grads);
  const dx = normBack(kept.x as M, `${at}.input_layernorm`, kept.s1, dn1, using, grads);
  return tf.add(pick ? putRows(da, pick, rows) : da, dx);
}

/** Gradient of the normed rows that entered the feed-forward part. */
function feedForwardBack({ config, at }: Layer, dy: M, kept: Named, using: ForwardWeights, grads: Named): M {
  const { gate, up } = kept;
  const dGated = linearBack(run(FUSED.gated, { gate, up }) as M, `${at}.mlp.down_proj`, dy, using, grads);
  const [n2] = norm(kept.a as M, weightOf(using.weights, `${at}.post_attention_layernorm.weight`), config.rmsEps);
  const dGate = linearBack(
    n2,
    `${at}.mlp.gate_proj`,
    run(FUSED.gatedGrad, { gate, up, dy: dGated }, { ofGate: 1 }) as M,
    using,
    grads,
  );
  const dUp = linearBack(
    n2,
    `${at}.mlp.up_proj`,
    run(FUSED.gatedGrad, { gate, up, dy: dGated }, { ofGate: 0 }) as M,
    using,
    grads,
  );
  return tf.add(dGate, dUp);
}

/** Gradient of the normed rows that entered attention. dMixed: [n, heads * headDim] */
function attentionBack(layer: Layer, dMixed: M, kept: Named, using: ForwardWeights, grads: Named): M {
  const { config, at, layout } = layer;
  const d = headRows(dMixed, layout, config.heads);
  const own = attendBack(d.own, kept.q, kept.k, kept.v, kept.p);
  const shared = d.shared && attendBack(d.shared, kept.q0, kept.k0, kept.v0, kept.p0);
  const rows = {
    q: rowsOfHeads({ own: own.dq, shared: shared && shared.dq }, layout),
    k: rowsOfHeads(seenBack(own.dk, shared && shared.dk, layout), layout),
    v: rowsOfHeads(seenBack(own.dv, shared && shared.dv, layout), layout),
  };
  const dq = positionedBack(layer, rows.q, config.heads, 'q_norm', kept, using, grads);
  const dk = positionedBack(layer, rows.k, config.kvHeads, 'k_norm', kept, using, grads);
  const [n1] = norm(kept.x as M, weightOf(using.weights, `${at}.input_layernorm.weight`), config.rmsEps);
  const parts = [
    linearBack(n1, `${at}.self_attn.q_proj`, dq, using, grads),
    linearBack(n1, `${at}.self_attn.k_proj`, dk, using, grads),
    linearBack(n1, `${at}.self_attn.v_proj`, rows.v, using, grads),
  ];
  return tf.addN(parts) as M;
}

/** Gradients of `attend`. d: like q. */
function attendBack(d: tf.Tensor3D, ...kept: tf.Tensor[]): { dq: tf.Tensor3D; dk: tf.Tensor3D; dv: tf.Tensor3D } {
  const [q, k, v, p] = kept as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
  const dp = tf.reshape(tf.matMul(byGroup(d, k), v, false, true), p.shape);
  const ds = byGroup(run(FUSED.softmaxGrad, { y: p, dy: dp }, { scale: q.shape[2] ** -0.5 }) as tf.Tensor3D, k);
  return {
    dq: tf.reshape(tf.matMul(ds, k), q.shape),
    dk: tf.matMul(ds, byGroup(q, k), true),
    dv: tf.matMul(byGroup(p, k), byGroup(d, k), true),
  };
}

/** Gradient of `seenRows`: the shared rows gather what all sequences' queries and their own ask of them. */
function seenBack(all: tf.Tensor3D, shared: tf.Tensor3D | null, layout: RowLayout): HeadRows {
  if (!shared) return { shared, own: all };
  const [first, own] = tf.split(all, [layout.shared, layout.length], 1) as tf.Tensor3D[];
  const summed = tf.sum(tf.reshape(first, [layout.batch, -1]), 0);
  return { shared: tf.add(shared, tf.reshape(summed, shared.shape)), own };
}

/** dy: [n, heads * headDim] */
function positionedBack(
  layer: Layer,
  dy: M,
  heads: number,
  name: 'q_norm' | 'k_norm',
  kept: Named,
  using: ForwardWeights,
  grads: Named,
): M {
  const { config, at, rotation } = layer;
  const rows = rotate(dy, heads, rotation, -1);
  if (!config.qkNorm) return rows;
  const x = kept[`${name}.x`] as M;
  return tf.reshape(
    normBack(x, `${at}.self_attn.${name}`, kept[`${name}.scale`], tf.reshape(rows, x.shape), using, grads),
    rows.shape,
  );
}

function normBack(x: M, name: string, scale: tf.Tensor, dy: M, using: ForwardWeights, grads: Named): M {
  if (!using.adapter) grads[`${name}.weight`] = run(FUSED.rmsNormWeightGrad, { x, dy, scale });
  return run(FUSED.rmsNormGrad, { x, weight: weightOf(using.weights, `${name}.weight`), dy, scale }) as M;
}

/** Gradient of a linear layer's input; its own go to `grads`. x: [rows, in], dy: [rows, out] */
function linearBack(x: M, name: string, dy: M, using: ForwardWeights, grads: Named): M {
  const dx: M = tf.matMul(dy, weightOf(using.weights, `${name}.weight`) as M);
  if (!using.adapter) {
    grads[`${name}.weight`] = tf.matMul(dy, x, true);
    if (using.weights[`${name}.bias`]) grads[`${name}.bias`] = tf.sum(dy, 0);
    return dx;
  }
  const low = using.adapter.layers[name];
  if (!low) return dx;
  const scaled = tf.mul(dy, using.adapter!.scale) as M;
  const dInner = tf.matMul(scaled, low.b); // [rows, rank]
  grads[`${name}.lora_B`] = tf.matMul(scaled, tf.matMul(x, low.a, false, true), true);
  grads[`${name}.lora_A`] = tf.matMul(dInner, x, true);
  return tf.add(dx, tf.matMul(dInner, low.a));
}

/** The inverse of picking: rows in their places among `count`, zeros elsewhere. */
function putRows(x: M, rows: Int32Array, count: number): M {
  const inverse = new Int32Array(count).fill(rows.length);
  rows.forEach((row, i) => (inverse[row] = i));
  return tf.gather(tf.concat2d([x, tf.zeros([1, x.shape[1]])], 0), tf.tensor1d(inverse, 'int32'));
}
