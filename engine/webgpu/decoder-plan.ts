/**
 * A model compiled into dispatches: embedding, layers, final norm. Built once for a cache and a set of weights, then replayed
 * for every step. A layer takes eight dispatches, two less where products of few rows normalise them themselves, one more where
 * some row has more keys than a span, and one more for each group of linear layers that carries an adapter.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import { weightOf } from '../model/linear.ts';
import type { Adapter, Weights } from '../model/trunk.ts';
import type { KeyPrecision } from '../protocol.ts';
import type { Bound, Gpu, Step } from './gpu.ts';
import { normaliseThemselves, type Kernel, type Rows, type Tuning } from './kernel.ts';
import { attentionKernel, combineKernel } from './kernels/attention.ts';
import { copyKeysKernel } from './kernels/copy-keys.ts';
import { drawKernel } from './kernels/draw.ts';
import { drawTruncatedKernel, keptWindows } from './kernels/draw-truncated.ts';
import { embedKernel } from './kernels/embed.ts';
import { gatedKernel } from './kernels/gated.ts';
import { headTilesKernel, type RowWindow } from './kernels/head-tiles.ts';
import { linearKernel } from './kernels/linear.ts';
import { rmsNormKernel } from './kernels/rms-norm.ts';
import { rotateKernel } from './kernels/rotate.ts';
import { packLowRank, type LowRank } from './low-rank.ts';
import { bindParts } from './matrix-parts.ts';
import type { PackedWeights } from './packed-weights.ts';
import { formatOf } from './weight-format.ts';
import type { Intermediate, LowRankWidths, Workspace } from './workspace.ts';

export type LayerBuffers = { readonly k: GPUBuffer; readonly v: GPUBuffer }; // [pages, kvHeads, PAGE, headDim]

/** The adapters that rows of a step may have, side by side, by layer. */
export type PackedAdapters = {
  readonly layers: readonly PackedLayer[];
  readonly widths: LowRankWidths;
  dispose(): void;
};
type PackedLayer = Readonly<Record<'qkv' | 'o' | 'gated' | 'down', LowRank | null>>;

export function packAdapters(gpu: Gpu, config: ModelConfig, adapters: readonly Adapter[]): PackedAdapters {
  const { hidden, intermediate } = config;
  const [q, kv] = [config.heads * config.headDim, config.kvHeads * config.headDim];
  const layers = Array.from({ length: config.layers }, (_, layer): PackedLayer => {
    const low = (columns: number, ...linears: [name: string, outputs: number][]): LowRank | null => {
      const named = linears.map(([name, outputs]) => ({ name: `model.layers.${layer}.${name}`, outputs }));
      return packLowRank(gpu, adapters, named, columns);
    };
    return {
      qkv: low(hidden, ['self_attn.q_proj', q], ['self_attn.k_proj', kv], ['self_attn.v_proj', kv]),
      o: low(q, ['self_attn.o_proj', hidden]),
      gated: low(hidden, ['mlp.gate_proj', intermediate], ['mlp.up_proj', intermediate]),
      down: low(intermediate, ['mlp.down_proj', hidden]),
    };
  });
  const widest = (part: keyof PackedLayer): number =>
    layers.reduce((most, layer) => Math.max(most, layer[part] ? widthOf(layer[part]) : 0), 0);
  const dispose = (): void => {
    for (const layer of layers) for (const low of Object.values(layer)) if (low) tf.dispose([low.a, low.b]);
  };
  return {
    layers,
    widths: { qkv: widest('qkv'), o: widest('o'), gated: widest('gated'), down: widest('down') },
    dispose,
  };
}

/** Numbers of a row's u. */
const widthOf = ({ adapters, parts, rank }: LowRank): number => adapters * parts * rank;

export type PlanInputs = {
  readonly gpu: Gpu;
  readonly tuning: Tuning;
  readonly config: ModelConfig;
  readonly weights: Weights;
  readonly packed: PackedWeights;
  readonly adapters: PackedAdapters;
  readonly workspace: Workspace;
  readonly layers: readonly LayerBuffers[];
  readonly capacity: number;
  readonly keys: KeyPrecision;
  readonly rope: GPUBuffer; // [capacity, headDim / 2] of cos and sin
  /** The rows a step will have: products are cut for them. */
  readonly rows: Rows;
};

/** Token ids in `workspace.ids` to final hidden states in `workspace.states`, in order; with a span, for steps that have longer rows. */
export function decoderPlan(inputs: PlanInputs, span: number | null = null): Step[] {
  const { gpu, config, tuning, weights, workspace } = inputs;
  const table = weightOf(weights, 'model.embed_tokens.weight');
  const { step, ids, states } = workspace;
  const x = workspace.of('x');
  return [
    ...bindParts(gpu, table, config.hidden).map(({ part, bound }) =>
      gpu.bind(embedKernel(config.hidden, part, tuning), [step, ids, bound, x]),
    ),
    ...inputs.packed.layers.flatMap((_, layer) => layerSteps(inputs, layer, span)),
    gpu.bind(rmsNormKernel({ columns: config.hidden, eps: config.rmsEps, pick: true }, tuning), [
      ...[step, x, gpu.bufferOf(weightOf(weights, 'model.norm.weight')), states],
    ]),
  ];
}

/** Hidden states in `workspace.states` to drawn tokens in `workspace.ids` and `workspace.numbers`, of rows that cut nothing off. */
export function drawPlan(inputs: PlanInputs): Step[] {
  return [...headSteps(inputs), drawStep(inputs)];
}

/** The same for a step with rows that do: the others come to the same bits either way. */
export function truncatedDrawPlan(inputs: PlanInputs): Step[] {
  const { gpu, config, tuning, workspace } = inputs;
  const { step, records, ids, numbers, kept } = workspace;
  const windows = keptWindows(workspace.slots, config.vocab).flatMap((window) => [
    ...headSteps(inputs, window),
    gpu.bind(drawTruncatedKernel(config.vocab, window, tuning), [step, kept, records, ids, numbers]),
  ]);
  return [...windows, drawStep(inputs)];
}

function headSteps({ gpu, config, tuning, packed, workspace, rows }: PlanInputs, kept?: RowWindow): Step[] {
  const { hidden: columns, vocab } = config;
  const { step, states, records } = workspace;
  if (rows === 'prompts') throw new Error('nothing is drawn from a step of prompts');
  const format = packed.headFormat;
  return packed.head.map(({ part, bound }) =>
    gpu.bind(headTilesKernel({ columns, vocab, part, format, kept }, tuning, rows), [
      ...[step, states, bound, records, ...(kept ? [workspace.kept] : [])],
    ]),
  );
}

function drawStep({ gpu, config, tuning, packed, workspace }: PlanInputs): Step {
  const { hidden: columns, vocab } = config;
  const { step, ids, states, records, numbers } = workspace;
  const { head, headFormat: format } = packed;
  const parts = head.map(({ part }) => part);
  return gpu.bind(drawKernel({ columns, vocab, parts, format }, tuning), [
    ...[step, states, ...head.map(({ bound }) => bound), records, ids, numbers],
  ]);
}

/** Keys and values from page to page, in every layer. */
export function copyPlan({ gpu, config, tuning, workspace, capacity, keys, layers }: PlanInputs): Step[] {
  const { heads, kvHeads, headDim } = config;
  const kernel = copyKeysKernel({ heads, kvHeads, headDim, capacity, keys }, tuning);
  return layers.map(({ k, v }) => gpu.bind(kernel, [workspace.step, k, v]));
}

function layerSteps(inputs: PlanInputs, layer: number, span: number | null): Step[] {
  const { gpu, config, tuning, weights, workspace, capacity, keys, rope, rows } = inputs;
  const packed = inputs.packed.layers[layer];
  const { format } = inputs.packed;
  const low = inputs.adapters.layers[layer];
  const { hidden, intermediate, heads, kvHeads, headDim, rmsEps } = config;
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  const at = `model.layers.${layer}`;
  const weight = (name: string): GPUBuffer => gpu.bufferOf(weightOf(weights, `${at}.${name}.weight`));
  const of = (name: Intermediate): GPUBuffer => workspace.of(name);
  const bind = (kernel: Kernel, ...buffers: readonly Bound[]): Step => gpu.bind(kernel, [workspace.step, ...buffers]);
  const few = normaliseThemselves(tuning, rows);
  const within = few ? { normEps: rmsEps } : {};
  const norm = (name: string): Step[] =>
    few
      ? []
      : [
          bind(
            rmsNormKernel({ columns: hidden, eps: rmsEps, pick: false }, tuning),
            ...[of('x'), weight(name), of('normed')],
          ),
        ];
  /** x as products after this norm take it. */
  const normed = (name: string): readonly GPUBuffer[] => (few ? [of('x'), weight(name)] : [of('normed')]);
  const shrink = (own: LowRank | null, columns: number, x: readonly GPUBuffer[], u: Intermediate): Step[] =>
    own === null
      ? []
      : [
          bind(
            shrinkKernel(own, { columns, ...(x.length > 1 ? within : {}) }, tuning, rows),
            ...[...x, gpu.bufferOf(own.a), of(u)],
          ),
        ];
  const added = (own: LowRank | null, u: Intermediate): GPUBuffer[] => (own ? [of(u), gpu.bufferOf(own.b)] : []);
  const linear = (
    columns: number,
    parts: readonly number[],
    own: LowRank | null,
    how: { bias: boolean; accumulate: boolean; normEps?: number },
  ) =>
    linearKernel({ columns, parts, rank: own?.rank ?? 0, adapters: own?.adapters ?? 0, ...how }, format, tuning, rows);
  const shape = { heads, kvHeads, headDim, capacity, keys };
  const norms = config.qkNorm ? [weight('self_attn.q_norm'), weight('self_attn.k_norm')] : [];
  const { k, v } = inputs.layers[layer];
  return [
    ...norm('input_layernorm'),
    ...shrink(low.qkv, hidden, normed('input_layernorm'), 'lowQkv'),
    bind(
      linear(hidden, [q, kv, kv], low.qkv, { bias: packed.bias !== null, accumulate: false, ...within }),
      ...[
        ...normed('input_layernorm'),
        packed.qkv,
        ...(packed.bias ? [packed.bias] : []),
        ...added(low.qkv, 'lowQkv'),
        of('qkv'),
      ],
    ),
    bind(rotateKernel({ ...shape, normEps: config.qkNorm ? rmsEps : null }, tuning), rope, of('qkv'), of('q'), k, v, ...norms), // prettier-ignore
    ...(span === null
      ? [bind(attentionKernel(shape, tuning), of('q'), k, v, of('attended'))]
      : [
          bind(attentionKernel(shape, tuning, span), of('q'), k, v, workspace.spans),
          bind(combineKernel(shape, tuning, span), workspace.spans, of('attended')),
        ]),
    ...shrink(low.o, q, [of('attended')], 'lowO'),
    bind(
      linear(q, [hidden], low.o, { bias: false, accumulate: true }),
      ...[of('attended'), packed.o, ...added(low.o, 'lowO'), of('x')],
    ),
    ...norm('post_attention_layernorm'),
    ...shrink(low.gated, hidden, normed('post_attention_layernorm'), 'lowGated'),
    bind(
      gatedKernel(
        {
          ...{ columns: hidden, outputs: intermediate, ...within },
          ...{ rank: low.gated?.rank ?? 0, adapters: low.gated?.adapters ?? 0 },
        },
        format,
        tuning,
        rows,
      ),
      ...[...normed('post_attention_layernorm'), packed.gate, packed.up, ...added(low.gated, 'lowGated'), of('gated')],
    ),
    ...shrink(low.down, intermediate, [of('gated')], 'lowDown'),
    bind(
      linear(intermediate, [hidden], low.down, { bias: false, accumulate: true }),
      ...[of('gated'), packed.down, ...added(low.down, 'lowDown'), of('x')],
    ),
  ];
}

/** u = x Aᵀ of all adapters, the layers of a group side by side: few columns, so none is left out for rows of another. */
function shrinkKernel(
  low: LowRank,
  x: { readonly columns: number; readonly normEps?: number },
  tuning: Tuning,
  rows: Rows,
): Kernel {
  const shape = { ...x, parts: [widthOf(low)], bias: false, accumulate: false, rank: 0, adapters: 0 };
  return linearKernel(shape, formatOf('f32'), tuning, rows);
}
