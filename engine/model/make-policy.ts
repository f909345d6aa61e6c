/**
 * Makes policies on a loaded base model. All trainable numbers lie in one flat variable; the tensors a forward pass needs
 * are cut from it on demand and kept until the variable changes.
 */
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { newLossScale, type LossScale } from '../learn/loss-scale.ts';
import { disposeMoments } from '../learn/moments.ts';
import type { PolicySpec } from '../protocol.ts';
import type { BaseModel } from './base-model.ts';
import { firstValues, layoutOf, loraLinears, VALUE_BIAS, VALUE_WEIGHT } from './layout.ts';
import type { Moments, Policy, Segment, Trainable } from './policy.ts';
import type { Adapter, ForwardWeights, Trunk, Weights } from './trunk.ts';
import { cutView } from './view.ts';

type Named = Readonly<Record<string, tf.Tensor>>;

export function makePolicy(spec: PolicySpec, base: BaseModel): BasePolicy {
  return new BasePolicy(spec, base);
}

export class BasePolicy implements Policy {
  readonly spec: PolicySpec;
  readonly base: BaseModel;
  readonly trunk: Trunk;
  readonly trainable: Trainable | null;
  moments: Moments | null = null;
  lossScale: LossScale | null;
  #named: Record<string, tf.Tensor> | null = null;
  /** The same record until the weights change. */
  #using: ForwardWeights | null = null;

  constructor(spec: PolicySpec, base: BaseModel) {
    this.spec = spec;
    this.base = base;
    this.trunk = base.trunk;
    checkRollout(spec, base.trunk);
    this.trainable = spec.frozen ? null : makeTrainable(spec, base);
    this.lossScale = this.trainable && spec.activations === 'f16' ? newLossScale() : null;
  }

  cut(): Record<string, tf.Tensor> {
    const { trainable } = this;
    if (!trainable) return {};
    return Object.fromEntries(
      trainable.layout.map((segment) => [segment.name, cutView(trainable.flat, segment.offset, segment.shape)]),
    );
  }

  using(named?: Named): ForwardWeights {
    if (named && this.trainable) return { ...this.#with(named), ...this.#scaled() };
    return (this.#using ??= this.trainable ? this.#with(this.#current()) : this.#rolledOut(this.reference()));
  }

  reference(): ForwardWeights {
    return this.#flowing({ weights: this.base.weights, adapter: null });
  }

  valueHead(named?: Named): { weight: tf.Tensor2D; bias: tf.Tensor1D } | null {
    if (!this.trainable) return null;
    const current = named ?? this.#current();
    return { weight: current[VALUE_WEIGHT] as tf.Tensor2D, bias: current[VALUE_BIAS] as tf.Tensor1D };
  }

  changed(): void {
    if (this.#named) tf.dispose(this.#named);
    this.#named = null;
    this.#using = null;
  }

  dispose(): void {
    this.changed();
    if (this.moments) disposeMoments(this.moments);
    this.moments = null;
    this.trainable?.flat.dispose();
  }

  /** Bytes this policy holds beyond its base. */
  get bytes(): number {
    const moments = this.moments ? 2 : 0;
    return (this.trainable?.size ?? 0) * 4 * (1 + moments);
  }

  /** Of these, what lies outside the device: moments kept as plain arrays. */
  get hostBytes(): number {
    return this.moments?.m instanceof Float32Array ? (this.trainable?.size ?? 0) * 8 : 0;
  }

  /** Bytes tfjs counts twice, since the kept cuts borrow the flat variable's memory. */
  get borrowedBytes(): number {
    return this.#named && tf.getBackend() === 'wasm' ? (this.trainable?.size ?? 0) * 4 : 0;
  }

  #with(named: Named): ForwardWeights {
    const { method } = this.spec;
    if (method.kind === 'full') return this.#rolledOut({ weights: named as Weights, adapter: null });
    return this.#rolledOut({ weights: this.base.weights, adapter: adapterOf(method, this.base, named) });
  }

  #rolledOut(using: ForwardWeights): ForwardWeights {
    const { rollout, keys } = this.spec;
    return {
      ...this.#flowing(using),
      ...(rollout === undefined ? {} : { rollout }),
      ...(keys === undefined ? {} : { keys }),
    };
  }

  #flowing(using: ForwardWeights): ForwardWeights {
    const { activations } = this.spec;
    return activations === undefined ? using : { ...using, activations };
  }

  #scaled(): Pick<ForwardWeights, 'lossScale'> {
    return this.lossScale ? { lossScale: this.lossScale.scale } : {};
  }

  #current(): Record<string, tf.Tensor> {
    if (!this.#named) {
      this.#named = this.cut();
      for (const tensor of Object.values(this.#named)) tf.keep(tensor);
    }
    return this.#named;
  }
}

function checkRollout({ policy, rollout = 'f32', keys = 'f32', activations = 'f32' }: PolicySpec, trunk: Trunk): void {
  if (!['f32', 'f16', 'q8', 'q4'].includes(rollout))
    throw new UserError(`There are no ${String(rollout)} weights; use f32, f16, q8 or q4`);
  if (rollout !== 'f32' && !trunk.packs.includes(rollout))
    throw new UserError(
      `The policy ${policy} is to sample with ${rollout} weights, which this device cannot; use ${['f32', ...trunk.packs].join(', ')}, or another device`,
    );
  if (!['f32', 'f16'].includes(keys)) throw new UserError(`There are no ${String(keys)} keys; use f32 or f16`);
  if (keys !== 'f32' && !trunk.packs.includes('f16'))
    throw new UserError(
      `The policy ${policy} is to keep ${keys} keys, which takes WebGPU and a model its kernels fit; choose the device webgpu, or keys f32`,
    );
  if (!['f32', 'f16'].includes(activations))
    throw new UserError(`There are no ${String(activations)} activations; use f32 or f16`);
  if (activations !== 'f32' && !trunk.halves)
    throw new UserError(
      `The policy ${policy} is to pass on ${activations} activations, which takes WebGPU with the feature shader-f16; use activations f32`,
    );
}

function makeTrainable(spec: PolicySpec, base: BaseModel): Trainable {
  const layout = layoutOf(spec, base.config);
  const size = layout.reduce((sum, segment) => sum + segment.size, 0);
  const start = tf.tidy(() => tf.concat1d(layout.map((segment) => startOf(segment, spec, base))));
  const flat = tf.variable(start) as tf.Variable<tf.Rank.R1>;
  start.dispose();
  return { flat, layout, size };
}

function startOf(segment: Segment, spec: PolicySpec, base: BaseModel): tf.Tensor1D {
  const own = base.weights[segment.name];
  return own ? tf.reshape(own, [segment.size]) : tf.tensor1d(firstValues(segment, spec.seed));
}

function adapterOf(method: Extract<PolicySpec['method'], { kind: 'lora' }>, base: BaseModel, named: Named): Adapter {
  const layers: Record<string, { a: tf.Tensor2D; b: tf.Tensor2D }> = {};
  for (const linear of loraLinears(method, base.config))
    layers[linear] = { a: named[`${linear}.lora_A`] as tf.Tensor2D, b: named[`${linear}.lora_B`] as tf.Tensor2D };
  return { scale: method.alpha / method.rank, layers };
}
