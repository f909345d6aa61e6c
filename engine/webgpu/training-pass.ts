/**
 * The decoder over whole sequences as one operation of tfjs's tape, with its gradient by hand: token rows to the hidden states
 * asked for, and back to every trained tensor. Where a pass is not being differentiated nothing is kept; where what all
 * layers keep would be too much, only their inputs are, and each layer is computed again on the way back.
 */
import * as tf from '@tensorflow/tfjs';
import { OutOfMemory } from '../device/out-of-memory.ts';
import { parameterShapes, type ModelConfig } from '../formats/config.ts';
import { weightOf } from '../model/linear.ts';
import type { Adapter, ForwardWeights, TokenBatch } from '../model/trunk.ts';
import type { ActivationPrecision } from '../protocol.ts';
import { activationOf } from './activation.ts';
import type { Gpu } from './gpu.ts';
import { membersByToken } from './kernels/take-rows.ts';
import { bindParts } from './matrix-parts.ts';
import { packRows, type PackedRows } from './packed-rows.ts';
import { Recorder } from './recorder.ts';
import { ropeTable } from './rope-table.ts';
import type { Cut } from './sized-kernel.ts';
import { floats, norm, take, type Frame, type Pair, type RowTables } from './training-frame.ts';
import { trainingKernels, type TrainingKernels } from './training-kernels.ts';
import { KEPT, layerBackward, layerForward, normBack, type Gradients, type Kept } from './training-layer.ts';

/** Most that the layers of one pass may keep together before only their inputs are kept. */
export const KEEP_BYTES = 2 ** 30;
/** Rows and positions are counted in steps, so that few sizes of buffers are ever asked for. */
const ROW_STEP = 64;
const POSITION_STEP = 256;
/** What tfjs's pool may hold for buffers of sizes that may never come again. */
const POOL_BYTES = 2 ** 31;
const EMBEDDING = 'model.embed_tokens.weight';

export class TrainingPass {
  readonly #gpu: Gpu;
  readonly #config: ModelConfig;
  readonly #cut: Cut;
  readonly #kernels: Partial<Record<ActivationPrecision, TrainingKernels>> = {};
  readonly #keepBytes: number;
  readonly #recorder: Recorder;
  #capacity = 0;
  #rope: tf.Tensor | null = null;

  constructor(gpu: Gpu, config: ModelConfig, cut: Cut, keepBytes = KEEP_BYTES) {
    this.#gpu = gpu;
    this.#config = config;
    this.#cut = cut;
    this.#keepBytes = keepBytes;
    this.#recorder = new Recorder(gpu);
  }

  /** As `Trunk.forwardAt`. */
  states(batch: TokenBatch, asked: Int32Array, using: ForwardWeights): tf.Tensor2D {
    const rows = packRows(batch, asked);
    this.#grow(rows);
    const trained = trainedOf(this.#config, using);
    const names = Object.keys(trained);
    const taped = tf.engine().state.gradientDepth > 0;
    const op = tf.customGrad((...inputs) => {
      const save = inputs.pop() as tf.GradSaveFunc;
      const frame = this.#frame(rows, using);
      const { states, kept, final } = this.#recorded(() => forward(frame, taped, this.#keepBytes));
      const shared = Object.values(frame.tables);
      if (taped) save([...shared, ...kept, final]);
      const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] =>
        tf.tidy(() => {
          const tables = Object.fromEntries(Object.keys(frame.tables).map((name, i) => [name, saved[i]])) as RowTables;
          const again = { ...this.#frame(rows, using, tables), capacity: frame.capacity };
          const grads = this.#recorded(() => backward(again, saved.slice(shared.length), dy));
          return names.map((name) => gradientOf(grads, name, trained[name]));
        });
      return { value: states, gradFunc };
    });
    return op(...names.map((name) => trained[name])) as tf.Tensor2D;
  }

  dispose(): void {
    this.#recorder.dispose();
    this.#rope?.dispose();
    this.#rope = null;
  }

  /** What was recorded before a failure is never submitted. */
  #recorded<T>(record: () => T): T {
    try {
      const made = record();
      this.#recorder.submit();
      return made;
    } catch (error) {
      this.#recorder.drop();
      throw error;
    }
  }

  #frame(rows: PackedRows, using: ForwardWeights, known?: RowTables): Frame {
    const gpu = this.#gpu;
    const tables: RowTables = known ?? tablesOf(rows);
    const pairs = pairsOf(using.adapter);
    const { activations = 'f32', lossScale = 1 } = using;
    const flow = activationOf(activations);
    const kernels = (this.#kernels[activations] ??= trainingKernels(this.#config, this.#cut, flow));
    const needed = [...Object.values(tables), ...Object.values(using.weights), this.#rope!];
    for (const { a, b } of pairs.values()) needed.push(a, b);
    for (const tensor of needed) gpu.bufferOf(tensor);
    return {
      ...{ gpu, recorder: this.#recorder, kernels, flow, lossScale, config: this.#config, using, pairs, rows, tables },
      ...{ rope: this.#rope!, capacity: this.#capacity },
    };
  }

  #grow({ count, stride }: PackedRows): void {
    const { hidden, intermediate, heads, headDim } = this.#config;
    const { device } = this.#gpu;
    const capacity = Math.max(this.#capacity, Math.ceil(count / ROW_STEP) * ROW_STEP);
    const largest = capacity * Math.max(hidden, intermediate, heads * headDim) * 4;
    if (largest > device.limits.maxStorageBufferBindingSize)
      throw new OutOfMemory(largest, `a matrix of ${count} tokens`);
    if (capacity > this.#capacity || this.#gpu.pooledBytes() > POOL_BYTES) this.#gpu.trim();
    this.#capacity = capacity;
    const positions = Math.ceil(stride / POSITION_STEP) * POSITION_STEP;
    if (this.#rope && this.#rope.size >= positions * headDim) return;
    this.#rope?.dispose();
    this.#rope = tf.keep(tf.tensor1d(ropeTable(this.#config, positions)));
  }
}

/** The tensors that take a gradient, by parameter name: the adapter's, or without adapter all of the trunk's. */
function trainedOf(config: ModelConfig, { weights, adapter }: ForwardWeights): Record<string, tf.Tensor> {
  const trained: Record<string, tf.Tensor> = {};
  if (adapter) {
    for (const [name, { a, b }] of Object.entries(adapter.layers))
      Object.assign(trained, { [`${name}.lora_A`]: a, [`${name}.lora_B`]: b });
    return trained;
  }
  for (const name of parameterShapes(config).keys())
    if (name !== 'lm_head.weight') trained[name] = weightOf(weights, name);
  return trained;
}

/** Ranks filled up to a multiple of 4 with zeros. */
function pairsOf(adapter: Adapter | null): Map<string, Pair> {
  return new Map(
    Object.entries(adapter?.layers ?? {}).map(([name, { a, b }]) => {
      const own = a.shape[0];
      const rank = Math.ceil(own / 4) * 4;
      if (rank === own) return [name, { rank, a, b }];
      const more = rank - own;
      return [name, { rank, a: tf.pad2d(a, [[0, more], [0, 0]]), b: tf.pad2d(b, [[0, 0], [0, more]]) }]; // prettier-ignore
    }),
  );
}

/** Without what the rank was filled up with. */
function gradientOf(grads: Gradients, name: string, { shape }: tf.Tensor): tf.Tensor {
  const grad = grads.get(name);
  if (!grad) throw new Error(`no gradient of ${name}`);
  if (grad.shape.length === shape.length && grad.shape.every((size, i) => size === shape[i])) return grad;
  return tf.slice(grad, shape.map(() => 0), shape); // prettier-ignore
}

function tablesOf({ ids, positions, queryTiles, keyTiles, picks, places }: PackedRows): RowTables {
  const table = (values: Int32Array | Uint32Array): tf.Tensor =>
    tf.tensor1d(values instanceof Int32Array ? values : new Int32Array(values.buffer), 'int32');
  return {
    ...{ ids: table(ids), positions: table(positions), queryTiles: table(queryTiles) },
    ...{ keyTiles: table(keyTiles), picks: table(picks), places: table(places) },
  };
}

type Forward = { readonly states: tf.Tensor2D; readonly kept: readonly tf.Tensor[]; readonly final: tf.Tensor };

function forward(frame: Frame, taped: boolean, keepBytes: number): Forward {
  const { gpu, config, rows, tables, recorder, using } = frame;
  const whole = taped && keptBytes(config, frame.capacity, frame.flow.bytes) <= keepBytes;
  const kept: tf.Tensor[] = [];
  const embedding = weightOf(using.weights, EMBEDDING);
  let x = take(frame, tables.ids, rows.count, embedding, config.hidden, bindParts(gpu, embedding, config.hidden));
  for (let layer = 0; layer < config.layers; layer++) {
    const made = layerForward(frame, layer, x);
    // Not all of an update in one submission: a window system may take a GPU that is busy for seconds for a hung one.
    recorder.submit();
    const { x: input, ...others } = made.kept;
    if (whole) kept.push(...KEPT.map((name) => made.kept[name]));
    else {
      tf.dispose(others);
      if (taped) kept.push(input);
      else input.dispose();
    }
    x = made.y;
  }
  const asked = rows.picks.length;
  const states = gpu.allocate<tf.Tensor2D>([asked, config.hidden]);
  norm(frame, x, asked, 'model.norm', states).scale.dispose();
  return { states, kept, final: x };
}

/** Bytes of what `layerForward` keeps of all layers, with so many a number of what flows. */
export function keptBytes(config: ModelConfig, rows: number, flowBytes: 2 | 4): number {
  const { hidden, intermediate, heads, kvHeads, headDim } = config;
  const flows = 2 * intermediate + (2 * heads + 2 * kvHeads) * headDim;
  return config.layers * rows * (4 * (2 * hidden + heads) + flowBytes * flows);
}

/** saved: as `forward` kept it, and the last layer's output. own: the states' gradient, [asked, hidden] */
function backward(frame: Frame, saved: readonly tf.Tensor[], own: tf.Tensor): Gradients {
  const { config, rows, recorder, using, lossScale } = frame;
  const dy = lossScale === 1 ? own : tf.mul(own, lossScale);
  const grads: Gradients = new Map();
  frame.gpu.bufferOf(dy);
  const members = using.adapter ? null : memberTables(frame);
  const final = saved[saved.length - 1];
  const asked = rows.picks.length;
  const { y: unused, scale } = norm(frame, final, asked, 'model.norm');
  let dx: tf.Tensor | null = floats(frame, config.hidden);
  normBack(frame, 'model.norm', asked, final, scale, dy, dx, false, grads);
  tf.dispose([unused, scale]);
  const perLayer = (saved.length - 1) / config.layers;
  for (let layer = config.layers - 1; layer >= 0; layer--) {
    const ofLayer = saved.slice(layer * perLayer, (layer + 1) * perLayer);
    const kept = perLayer === 1 ? recomputed(frame, layer, ofLayer[0]) : asKept(ofLayer);
    dx = layerBackward(frame, layer, kept, dx!, grads, layer > 0 || members !== null);
    if (perLayer === 1) {
      const { x: _, ...others } = kept;
      tf.dispose(others);
    }
    recorder.submit();
  }
  if (members) embedBack(frame, members, dx!, grads);
  dx?.dispose();
  return grads;
}

function recomputed(frame: Frame, layer: number, x: tf.Tensor): Kept {
  const { y, kept } = layerForward(frame, layer, x);
  y.dispose();
  return kept;
}

function asKept(own: readonly tf.Tensor[]): Kept {
  return Object.fromEntries(KEPT.map((name, i) => [name, own[i]])) as Kept;
}

type Members = { readonly starts: tf.Tensor; readonly members: tf.Tensor };

function memberTables({ gpu, config, rows }: Frame): Members {
  const { starts, members } = membersByToken(rows.ids, config.vocab);
  const tables = {
    starts: tf.tensor1d(new Int32Array(starts.buffer), 'int32'),
    members: tf.tensor1d(new Int32Array(members.buffer), 'int32'),
  };
  for (const table of Object.values(tables)) gpu.bufferOf(table);
  return tables;
}

function embedBack(
  { gpu, recorder, kernels, config, lossScale }: Frame,
  { starts, members }: Members,
  dx: tf.Tensor,
  grads: Gradients,
): void {
  const c4 = config.hidden / 4;
  const whole = gpu.allocate([config.vocab, config.hidden]);
  for (const { part, bound } of bindParts(gpu, whole, config.hidden))
    recorder.add(kernels.embedGrad, part.count * c4, { c4, first: part.first, alpha: 1 / lossScale }, [
      ...[gpu.bufferOf(starts), gpu.bufferOf(members), gpu.bufferOf(dx), bound],
    ]);
  grads.set(EMBEDDING, whole);
}
