/**
 * Weights as decoding reads them: q, k and v of a layer on one another, what is asked for in packed form, the head cut into
 * parts that a device lets one binding be. Made once for a set of weights and kept while those stand; the weights
 * themselves stay as they are, for training and for the embedding.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import { weightOf } from '../model/linear.ts';
import { headPrecision, headWeight, type ForwardWeights, type Weights } from '../model/trunk.ts';
import type { WeightPrecision } from '../protocol.ts';
import type { Bound, Gpu } from './gpu.ts';
import type { MatrixPart } from './kernels/embed.ts';
import { packKernel } from './kernels/pack-weights.ts';
import { bindParts, matrixParts } from './matrix-parts.ts';
import { Recorder } from './recorder.ts';
import { cutFor } from './sized-kernel.ts';
import { formatOf, packedWords, rowBlocks, type WeightFormat } from './weight-format.ts';

export type PackedLayerWeights = {
  readonly qkv: GPUBuffer; // [q + k + v, hidden]
  readonly bias: GPUBuffer | null; // [q + k + v]
  readonly o: GPUBuffer;
  readonly gate: GPUBuffer;
  readonly up: GPUBuffer;
  readonly down: GPUBuffer;
};

export type PackedWeights = {
  /** Of the layers, and of the head. */
  readonly format: WeightFormat;
  readonly headFormat: WeightFormat;
  readonly layers: readonly PackedLayerWeights[];
  readonly head: readonly { readonly part: MatrixPart; readonly bound: Bound }[];
  dispose(): void;
};

/** What was packed of the weights that still stand. */
export class Packs {
  readonly #gpu: Gpu;
  readonly #config: ModelConfig;
  readonly #made: { readonly of: Weights; readonly packed: PackedWeights }[] = [];

  constructor(gpu: Gpu, config: ModelConfig) {
    this.#gpu = gpu;
    this.#config = config;
  }

  of({ weights, rollout = 'f32' }: ForwardWeights): PackedWeights {
    this.#prune();
    const known = this.#made.find(({ of, packed }) => of === weights && packed.format.precision === rollout);
    if (known) return known.packed;
    const packed = packWeights(this.#gpu, this.#config, weights, rollout);
    this.#made.push({ of: weights, packed });
    return packed;
  }

  dispose(): void {
    for (const { packed } of this.#made.splice(0)) packed.dispose();
  }

  /** Weights that were trained or unloaded are gone, and with them what was packed of them. */
  #prune(): void {
    for (const one of this.#made.splice(0)) {
      if (Object.values(one.of).some((tensor) => tensor.isDisposed)) one.packed.dispose();
      else this.#made.push(one);
    }
  }
}

function packWeights(gpu: Gpu, config: ModelConfig, weights: Weights, precision: WeightPrecision): PackedWeights {
  const format = formatOf(precision);
  const kept: tf.Tensor[] = [];
  const keep = (tensor: tf.Tensor): GPUBuffer => {
    kept.push(tf.keep(tensor));
    return gpu.bufferOf(tensor);
  };
  const pack = packer(gpu, format);
  const headFormat = formatOf(headPrecision(precision));
  const packHead = packer(gpu, headFormat);
  const layers = Array.from({ length: config.layers }, (_, layer): PackedLayerWeights => {
    const of = (name: string, what = 'weight'): tf.Tensor =>
      weightOf(weights, `model.layers.${layer}.${name}_proj.${what}`);
    const three = (what: string): tf.Tensor[] => ['q', 'k', 'v'].map((name) => of(`self_attn.${name}`, what));
    const one = (name: string): GPUBuffer => {
      const matrix = of(name);
      return precision === 'f32' ? gpu.bufferOf(matrix) : keep(pack([whole(gpu, matrix)]));
    };
    const qkv = three('weight');
    return {
      qkv: keep(precision === 'f32' ? gpu.concat(qkv) : pack(qkv.map((matrix) => whole(gpu, matrix)))),
      bias: config.attentionBias ? keep(gpu.concat(three('bias'))) : null,
      ...{ o: one('self_attn.o'), gate: one('mlp.gate'), up: one('mlp.up'), down: one('mlp.down') },
    };
  });
  const head = bindParts(gpu, headWeight(config, weights), config.hidden).map(({ part, bound }) => ({
    part,
    bound: precision === 'f32' ? bound : keep(packHead([{ bound, rows: part.count, columns: config.hidden }])),
  }));
  pack.done();
  packHead.done();
  return { format, headFormat, layers, head, dispose: () => tf.dispose(kept) };
}

type Rows = { readonly bound: Bound; readonly rows: number; readonly columns: number };

function whole(gpu: Gpu, matrix: tf.Tensor): Rows {
  return { bound: gpu.bufferOf(matrix), rows: matrix.shape[0], columns: matrix.shape[1]! };
}

/** Packs matrices that stand on one another into one. Everything packed is on its way once `done` was called. */
function packer(gpu: Gpu, format: WeightFormat): { (matrices: readonly Rows[]): tf.Tensor; done(): void } {
  const { precision } = format;
  const kernel = precision === 'f32' ? null : packKernel(precision, cutFor(gpu));
  const recorder = new Recorder(gpu);
  const pack = (matrices: readonly Rows[]): tf.Tensor => {
    const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0);
    const { columns } = matrices[0];
    const packed = gpu.allocate([packedWords(format, rows, columns)], 'int32');
    let first = 0;
    for (const matrix of matrices) {
      const blocks = rowBlocks(columns);
      const sizes = { k4: columns / 4, blocks, first, rows };
      recorder.add(kernel!, matrix.rows * blocks, sizes, [matrix.bound, gpu.bufferOf(packed)]);
      first += matrix.rows;
    }
    return packed;
  };
  const done = (): void => {
    recorder.submit();
    recorder.dispose();
  };
  return Object.assign(pack, { done });
}

/** Bytes beside the weights themselves, before anything is packed. */
export function packedBytes(config: ModelConfig, precision: WeightPrecision, maxBinding: number): number {
  const { layers, hidden, intermediate, heads, kvHeads, headDim, vocab } = config;
  const format = formatOf(precision);
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  const matrix = (rows: number, columns: number, as = format): number => 4 * packedWords(as, rows, columns);
  const qkv = matrix(q + 2 * kv, hidden) + (config.attentionBias ? 4 * (q + 2 * kv) : 0);
  if (precision === 'f32') return layers * qkv;
  const others = matrix(hidden, q) + 2 * matrix(intermediate, hidden) + matrix(hidden, intermediate);
  const head = matrixParts(vocab, hidden, maxBinding).reduce(
    (sum, { count }) => sum + matrix(count, hidden, formatOf(headPrecision(precision))),
    0,
  );
  return layers * (qkv + others) + head;
}
