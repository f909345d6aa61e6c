/**
 * A policy: one trainable thing. It shares its base model's weights with every other policy on that base and owns either
 * a full copy or a LoRA adapter, plus a value head. All that is trainable lies in one flat variable, so that an optimiser
 * step is a handful of operations whatever the number of layers.
 */
import type * as tf from '@tensorflow/tfjs';
import type { LossScale } from '../learn/loss-scale.ts';
import type { PolicySpec } from '../protocol.ts';
import type { ForwardWeights, Trunk } from './trunk.ts';

/** One named tensor's place in the flat variable. */
export type Segment = {
  /** Hugging Face parameter name; "<linear>.lora_A" / "<linear>.lora_B" for adapters; "value_head.weight" [1, hidden], "value_head.bias" [1]. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
  readonly part: 'trunk' | 'value';
};

export type Trainable = {
  readonly flat: tf.Variable<tf.Rank.R1>; // [size]
  readonly layout: readonly Segment[];
  readonly size: number;
};

/**
 * AdamW's state. `m` and `v` are [size]: plain arrays where tfjs computes on the CPU (they would crowd its 4 GiB heap), else
 * tensors on the device. Made, read, restored and disposed by the functions of learn/moments.ts alone.
 */
export type Moments = {
  m: Float32Array | tf.Tensor1D;
  v: Float32Array | tf.Tensor1D;
  /** Steps taken by the trunk's segments and by the value head's; they differ after a critic warm-up. */
  steps: { trunk: number; value: number };
};

export interface Policy {
  readonly spec: PolicySpec;
  readonly trunk: Trunk;
  /** null for a frozen policy. */
  readonly trainable: Trainable | null;
  /** First and second moments, each [size]; made by the first update. */
  moments: Moments | null;
  /** Null where gradients are floats all the way. */
  lossScale: LossScale | null;
  /** Cuts the flat variable into named tensors the caller must dispose (inside tf.tidy it need not). */
  cut(): Record<string, tf.Tensor>;
  /** What forward runs with, given named trainable tensors (for gradients) or, without them, the policy's current ones (kept until the next `changed`). */
  using(named?: Readonly<Record<string, tf.Tensor>>): ForwardWeights;
  /** The base model without adapter or training: the reference policy of a LoRA policy; for full fine-tuning the base weights. */
  reference(): ForwardWeights;
  /** weight [1, hidden], bias [1]. Null for a frozen policy. */
  valueHead(named?: Readonly<Record<string, tf.Tensor>>): { weight: tf.Tensor2D; bias: tf.Tensor1D } | null;
  /** Call after writing to `flat`: cached slices are dropped. */
  changed(): void;
  dispose(): void;
}
