/**
 * A model compiled into dispatches: embedding, layers, final norm. Built once for a cache and a set of weights, then replayed
 * for every step; a layer takes eight dispatches, and one more for each group of linear layers that carries an adapter.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import { weightOf } from '../model/linear.ts';
import { headWeight, type ForwardWeights } from '../model/trunk.ts';
import type { Bound, Gpu, Step } from './gpu.ts';
import type { Kernel, Tuning } from './kernel.ts';
import { attentionKernel } from './kernels/attention.ts';
import { drawKernel } from './kernels/draw.ts';
import { embedKernel } from './kernels/embed.ts';
import { gatedKernel } from './kernels/gated.ts';
import { headTilesKernel } from './kernels/head-tiles.ts';
import { linearKernel } from './kernels/linear.ts';
import { rmsNormKernel } from './kernels/rms-norm.ts';
import { rotateKernel } from './kernels/rotate.ts';
import { packLowRank, type LowRank } from './low-rank.ts';
import { bindParts } from './matrix-parts.ts';
import type { Intermediate, LowRankWidths, Workspace } from './workspace.ts';

export type LayerBuffers = { readonly k: GPUBuffer; readonly v: GPUBuffer }; // [slots, kvHeads, capacity, headDim]

/** The tensors a plan made for itself: what one product reads, end to end. */
export type Packed = {
  readonly layers: readonly PackedLayer[];
  readonly widths: LowRankWidths;
  dispose(): void;
};
type PackedLayer = {
  readonly weight: tf.Tensor1D; // [q + k + v, hidden]
  readonly bias: tf.Tensor1D | null; // [q + k + v]
  readonly qkv: LowRank | null;
  readonly o: LowRank | null;
  readonly gated: LowRank | null;
  readonly down: LowRank | null;
};

export function packWeights(gpu: Gpu, config: ModelConfig, using: ForwardWeights): Packed {
  const layers = Array.from({ length: config.layers }, (_, layer) => packLayer(gpu, config, using, layer));
  const widest = (of: (layer: PackedLayer) => LowRank | null): number =>
    layers.reduce((most, layer) => Math.max(most, (of(layer)?.parts ?? 0) * (of(layer)?.rank ?? 0)), 0);
  return {
    layers,
    widths: {
      ...{ qkv: widest(({ qkv }) => qkv), o: widest(({ o }) => o) },
      ...{ gated: widest(({ gated }) => gated), down: widest(({ down }) => down) },
    },
    dispose: () => {
      for (const { weight, bias, qkv, o, gated, down } of layers) {
        tf.dispose([weight, bias].filter((tensor) => tensor !== null));
        for (const low of [qkv, o, gated, down]) if (low) tf.dispose([low.a, low.b]);
      }
    },
  };
}

function packLayer(gpu: Gpu, config: ModelConfig, { weights, adapter }: ForwardWeights, layer: number): PackedLayer {
  const { hidden, intermediate } = config;
  const at = `model.layers.${layer}`;
  const [q, kv] = [config.heads * config.headDim, config.kvHeads * config.headDim];
  const ofQkv = (what: string): tf.Tensor1D =>
    tf.keep(gpu.concat(['q', 'k', 'v'].map((name) => weightOf(weights, `${at}.self_attn.${name}_proj.${what}`))));
  const low = (columns: number, ...linears: [name: string, outputs: number][]): LowRank | null =>
    packLowRank(
      gpu,
      adapter,
      linears.map(([name, outputs]) => ({ name: `${at}.${name}`, outputs })),
      columns,
    );
  return {
    weight: ofQkv('weight'),
    bias: config.attentionBias ? ofQkv('bias') : null,
    qkv: low(hidden, ['self_attn.q_proj', q], ['self_attn.k_proj', kv], ['self_attn.v_proj', kv]),
    o: low(q, ['self_attn.o_proj', hidden]),
    gated: low(hidden, ['mlp.gate_proj', intermediate], ['mlp.up_proj', intermediate]),
    down: low(intermediate, ['mlp.down_proj', hidden]),
  };
}

export type PlanInputs = {
  readonly gpu: Gpu;
  readonly tuning: Tuning;
  readonly config: ModelConfig;
  readonly using: ForwardWeights;
  readonly packed: Packed;
  readonly workspace: Workspace;
  readonly layers: readonly LayerBuffers[];
  readonly capacity: number;
  readonly rope: GPUBuffer; // [capacity, headDim / 2] of cos and sin
  /** How many rows a step will have: products are cut for that many at once. */
  readonly rows: number;
};

/** Token ids in `workspace.ids` to final hidden states in `workspace.states`, in order. */
export function decoderPlan(inputs: PlanInputs): Step[] {
  const { gpu, config, tuning, using, workspace } = inputs;
  const table = weightOf(using.weights, 'model.embed_tokens.weight');
  const { step, ids, states } = workspace;
  const x = workspace.of('x');
  return [
    ...bindParts(gpu, table, config.hidden).map(({ part, bound }) =>
      gpu.bind(embedKernel(config.hidden, part, tuning), [step, ids, bound, x]),
    ),
    ...inputs.packed.layers.flatMap((packed, layer) => layerSteps(inputs, packed, layer)),
    gpu.bind(rmsNormKernel({ columns: config.hidden, eps: config.rmsEps, pick: true }, tuning), [
      ...[step, x, gpu.bufferOf(weightOf(using.weights, 'model.norm.weight')), states],
    ]),
  ];
}

/** Hidden states in `workspace.states` to drawn tokens in `workspace.ids` and `workspace.numbers`. */
export function drawPlan({ gpu, config, tuning, using, workspace, rows }: PlanInputs): Step[] {
  const { hidden: columns, vocab } = config;
  const { step, ids, states, records, numbers } = workspace;
  const head = bindParts(gpu, headWeight(config, using.weights), columns);
  const parts = head.map(({ part }) => part);
  return [
    ...head.map(({ part, bound }) =>
      gpu.bind(headTilesKernel({ columns, vocab, part }, tuning, rows), [step, states, bound, records]),
    ),
    gpu.bind(drawKernel({ columns, vocab, parts }, tuning), [
      ...[step, states, ...head.map(({ bound }) => bound), records, ids, numbers],
    ]),
  ];
}

function layerSteps(inputs: PlanInputs, packed: PackedLayer, layer: number): Step[] {
  const { gpu, config, tuning, using, workspace, capacity, rope, rows } = inputs;
  const { hidden, intermediate, heads, kvHeads, headDim, rmsEps } = config;
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  const at = `model.layers.${layer}`;
  const weight = (name: string): GPUBuffer => gpu.bufferOf(weightOf(using.weights, `${at}.${name}.weight`));
  const of = (name: Intermediate): GPUBuffer => workspace.of(name);
  const bind = (kernel: Kernel, ...buffers: readonly Bound[]): Step => gpu.bind(kernel, [workspace.step, ...buffers]);
  const norm = (name: string): Step =>
    bind(
      rmsNormKernel({ columns: hidden, eps: rmsEps, pick: false }, tuning),
      ...[of('x'), weight(name), of('normed')],
    );
  const shrink = (low: LowRank | null, columns: number, x: Intermediate, u: Intermediate): Step[] =>
    low === null ? [] : [bind(shrinkKernel(low, columns, tuning, rows), of(x), gpu.bufferOf(low.a), of(u))];
  const added = (low: LowRank | null, u: Intermediate): GPUBuffer[] => (low ? [of(u), gpu.bufferOf(low.b)] : []);
  const linear = (
    columns: number,
    parts: readonly number[],
    low: LowRank | null,
    how: { bias: boolean; accumulate: boolean },
  ) => linearKernel({ columns, parts, rank: low?.rank ?? 0, scale: 1, ...how }, tuning, rows);
  const shape = { heads, kvHeads, headDim, capacity };
  const norms = config.qkNorm ? [weight('self_attn.q_norm'), weight('self_attn.k_norm')] : [];
  const { k, v } = inputs.layers[layer];
  return [
    norm('input_layernorm'),
    ...shrink(packed.qkv, hidden, 'normed', 'lowQkv'),
    bind(
      linear(hidden, [q, kv, kv], packed.qkv, { bias: packed.bias !== null, accumulate: false }),
      ...[of('normed'), gpu.bufferOf(packed.weight)],
      ...[...(packed.bias ? [gpu.bufferOf(packed.bias)] : []), ...added(packed.qkv, 'lowQkv'), of('qkv')],
    ),
    bind(rotateKernel({ ...shape, normEps: config.qkNorm ? rmsEps : null }, tuning), rope, of('qkv'), of('q'), k, v, ...norms), // prettier-ignore
    bind(attentionKernel(shape, tuning), of('q'), k, v, of('attended')),
    ...shrink(packed.o, q, 'attended', 'lowO'),
    bind(
      linear(q, [hidden], packed.o, { bias: false, accumulate: true }),
      ...[of('attended'), weight('self_attn.o_proj'), ...added(packed.o, 'lowO'), of('x')],
    ),
    norm('post_attention_layernorm'),
    ...shrink(packed.gated, hidden, 'normed', 'lowGated'),
    bind(
      gatedKernel({ columns: hidden, outputs: intermediate, rank: packed.gated?.rank ?? 0 }, tuning, rows),
      ...[
        of('normed'),
        weight('mlp.gate_proj'),
        weight('mlp.up_proj'),
        ...added(packed.gated, 'lowGated'),
        of('gated'),
      ],
    ),
    ...shrink(packed.down, intermediate, 'gated', 'lowDown'),
    bind(
      linear(intermediate, [hidden], packed.down, { bias: false, accumulate: true }),
      ...[of('gated'), weight('mlp.down_proj'), ...added(packed.down, 'lowDown'), of('x')],
    ),
  ];
}

/** u = scale · x Aᵀ, the layers of a group side by side. */
function shrinkKernel(low: LowRank, columns: number, tuning: Tuning, rows: number): Kernel {
  const shape = { columns, parts: [low.parts * low.rank], bias: false, accumulate: false, rank: 0, scale: low.scale };
  return linearKernel(shape, tuning, rows);
}
