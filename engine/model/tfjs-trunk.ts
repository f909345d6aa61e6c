/**
 * The decoder of Llama, Qwen2 and Qwen3 in plain tfjs operations: token ids in, hidden states after the last norm out.
 * It is the fallback on every device, the readable reference and the oracle of faster trunks. Rows are tokens,
 * [batch * length, hidden], wherever a layer does not need to see the sequence.
 */
import * as tf from '@tensorflow/tfjs';
import { fusedGated } from '../device/fused.ts';
import type { ModelConfig } from '../formats/config.ts';
import {
  cachedAttention,
  cacheMask,
  causalAttention,
  causalMasks,
  exactSoftmax,
  headRows,
  seenRows,
} from './attention.ts';
import { KeyValueCache } from './cache.ts';
import { leanBlock, leanBlockFits } from './lean-block.ts';
import { linear, rmsNorm, weightOf } from './linear.ts';
import { RopeTable, type Rotation } from './rope.ts';
import { rowIds, rowLayout, rowPositions, type RowLayout } from './row-layout.ts';
import { takeRows } from './rows.ts';
import type { Cache, ForwardWeights, TokenBatch, Trunk } from './trunk.ts';

/** How one layer mixes tokens: over whole sequences, into a cache, or against it. */
type Mix = (layer: number, q: tf.Tensor2D, k: tf.Tensor2D, v: tf.Tensor2D) => tf.Tensor2D;

export function makeTfjsTrunk(config: ModelConfig): Trunk {
  const rope = new RopeTable(config);
  return {
    config,
    drawing: null,
    mixes: false,
    packs: [],
    halves: false,
    logits: null,
    page: null,
    keyBytes: () => 4,
    openCache: (slots, capacity) => new KeyValueCache(config, slots, capacity),
    prefill: (cache, prompts, using, slots) => prefill(config, rope, asOurs(cache), prompts, using, slots),
    decode: (cache, ids) => decode(config, rope, asOurs(cache), ids),
    forward: (batch, using) =>
      tf.tidy(() => {
        const shared = rowLayout(batch).shared;
        const rows = forward(config, rope, batch, using);
        const own = shared > 0 ? tf.slice(rows, [shared, 0]) : rows;
        return tf.reshape(own, [batch.batch, batch.length, config.hidden]);
      }),
    forwardAt: (batch, rows, using) => forward(config, rope, batch, using, rows),
    dispose: () => rope.dispose(),
  };
}

function asOurs(cache: Cache): KeyValueCache {
  if (!(cache instanceof KeyValueCache)) throw new Error('a cache of another trunk');
  return cache;
}

/** Shared rows and all others, or those of the others that are asked for. // [rows, hidden] */
function forward(
  config: ModelConfig,
  rope: RopeTable,
  batch: TokenBatch,
  using: ForwardWeights,
  rows?: Int32Array,
): tf.Tensor2D {
  return tf.tidy(() => {
    const layout = rowLayout(batch);
    const rotation = rotationOf(rope, layout);
    const ids = tf.tensor1d(rowIds(batch), 'int32');
    const picked = rows?.map((row) => layout.shared + row);
    if (leanBlockFits(config)) {
      return layers(
        config,
        ids,
        using,
        (x, layer, pick) => leanBlock({ config, at: `model.layers.${layer}`, layout, rotation, pick }, x, using),
        picked,
      );
    }
    const masks = causalMasks(layout);
    const mix: Mix = (_, q, k, v) =>
      causalAttention(
        headRows(q, layout, config.heads),
        seenRows(k, layout, config.kvHeads),
        seenRows(v, layout, config.kvHeads),
        layout,
        masks,
        tf.softmax,
      );
    return layers(
      config,
      ids,
      using,
      (x, layer, pick) => block(config, rope, layer, x, rotation, using, mix, pick),
      picked,
    );
  });
}

/** Of every row; where nothing is shared, the same for each sequence. */
function rotationOf(rope: RopeTable, layout: RowLayout): Rotation {
  return layout.shared > 0 ? rope.at(rowPositions(layout)) : rope.upTo(layout.length);
}

function prefill(
  config: ModelConfig,
  rope: RopeTable,
  cache: KeyValueCache,
  prompts: TokenBatch,
  using: ForwardWeights,
  slots?: Int32Array,
): tf.Tensor2D {
  const places = slots ?? Int32Array.from({ length: cache.slots }, (_, slot) => slot);
  if (prompts.batch !== places.length) throw new Error(`${prompts.batch} prompts for ${places.length} cache slots`);
  cache.runWith(using);
  const layout = rowLayout(prompts);
  if (layout.shared + prompts.length > cache.capacity)
    throw new Error(`prompts of ${layout.shared + prompts.length} tokens in a cache of ${cache.capacity}`);
  return tf.tidy(() => {
    const masks = causalMasks(layout);
    const mix: Mix = (layer, q, k, v) => {
      const keys = seenRows(k, layout, config.kvHeads);
      const values = seenRows(v, layout, config.kvHeads);
      cache.fill(layer, keys.all, values.all, slots);
      return causalAttention(headRows(q, layout, config.heads), keys, values, layout, masks, exactSoftmax);
    };
    const last = Int32Array.from(prompts.lengths, (length, slot) => layout.shared + slot * prompts.length + length - 1);
    const rotation = rotationOf(rope, layout);
    const states = layers(
      config,
      tf.tensor1d(rowIds(prompts), 'int32'),
      using,
      (x, layer, pick) => block(config, rope, layer, x, rotation, using, mix, pick),
      last,
    );
    places.forEach((slot, i) => (cache.lengths[slot] = layout.shared + prompts.lengths[i]));
    return states;
  });
}

function decode(config: ModelConfig, rope: RopeTable, cache: KeyValueCache, ids: tf.Tensor1D): tf.Tensor2D {
  const { using } = cache;
  if (cache.lengths.some((length) => length >= cache.capacity))
    throw new Error(`KV cache full: ${cache.capacity} positions`);
  return tf.tidy(() => {
    const rows = cache.nextPositions();
    const mask = cacheMask(cache.lengths, cache.capacity);
    const mix: Mix = (layer, q, k, v) => {
      cache.append(layer, k, v, rows);
      return cachedAttention(q, cache.layers[layer].k, cache.layers[layer].v, config, mask);
    };
    const rotation = rope.at(cache.lengths);
    const states = layers(config, ids, using, (x, layer) => block(config, rope, layer, x, rotation, using, mix));
    for (let slot = 0; slot < cache.slots; slot++) cache.lengths[slot]++;
    return states;
  });
}

/** One layer. x: [rows, hidden]; with `pick` only those rows come out. */
type RunLayer = (x: tf.Tensor2D, layer: number, pick?: Int32Array) => tf.Tensor2D;

/**
 * Embedding, all layers, final norm. ids: [rows] -> [rows, hidden]; with `pick`, only those rows leave the last layer's
 * attention, since the others would be thrown away.
 */
function layers(
  config: ModelConfig,
  ids: tf.Tensor1D,
  using: ForwardWeights,
  run: RunLayer,
  pick?: Int32Array,
): tf.Tensor2D {
  let x = tf.gather(weightOf(using.weights, 'model.embed_tokens.weight') as tf.Tensor2D, ids); // [rows, hidden]
  for (let layer = 0; layer < config.layers; layer++) {
    const rows = x;
    x = tf.tidy(() => run(rows, layer, layer === config.layers - 1 ? pick : undefined));
  }
  return rmsNorm(x, weightOf(using.weights, 'model.norm.weight'), config.rmsEps);
}

function block(
  config: ModelConfig,
  rope: RopeTable,
  layer: number,
  x: tf.Tensor2D,
  rotation: Rotation,
  using: ForwardWeights,
  mix: Mix,
  pick?: Int32Array,
): tf.Tensor2D {
  const at = `model.layers.${layer}`;
  const normed = rmsNorm(x, weightOf(using.weights, `${at}.input_layernorm.weight`), config.rmsEps);
  const q = rope.rotate(
    headNorm(config, linear(normed, `${at}.self_attn.q_proj`, using), config.heads, `${at}.self_attn.q_norm`, using),
    config.heads,
    rotation,
  );
  const k = rope.rotate(
    headNorm(config, linear(normed, `${at}.self_attn.k_proj`, using), config.kvHeads, `${at}.self_attn.k_norm`, using),
    config.kvHeads,
    rotation,
  );
  const mixed = mix(layer, q, k, linear(normed, `${at}.self_attn.v_proj`, using));
  const attended: tf.Tensor2D = tf.add(
    pick ? takeRows(x, pick) : x,
    linear(pick ? takeRows(mixed, pick) : mixed, `${at}.self_attn.o_proj`, using),
  );
  return tf.add(
    attended,
    feedForward(
      rmsNorm(attended, weightOf(using.weights, `${at}.post_attention_layernorm.weight`), config.rmsEps),
      `${at}.mlp`,
      using,
    ),
  );
}

/** Qwen3 normalises every head of q and k before the rotation. x: [rows, heads * headDim] */
function headNorm(
  config: ModelConfig,
  x: tf.Tensor2D,
  heads: number,
  name: string,
  using: ForwardWeights,
): tf.Tensor2D {
  if (!config.qkNorm) return x;
  const split = tf.reshape(x, [x.shape[0] * heads, config.headDim]);
  return tf.reshape(rmsNorm(split, weightOf(using.weights, `${name}.weight`), config.rmsEps), x.shape);
}

/** down(silu(gate(x)) · up(x)). Source: Shazeer 2020, "GLU variants", eq. 5. */
function feedForward(x: tf.Tensor2D, at: string, using: ForwardWeights): tf.Tensor2D {
  const gate = linear(x, `${at}.gate_proj`, using);
  const up = linear(x, `${at}.up_proj`, using);
  const gated: tf.Tensor2D = fusedGated(gate, up) ?? tf.mul(tf.mul(gate, tf.sigmoid(gate)), up);
  return linear(gated, `${at}.down_proj`, using);
}
