/**
 * Decodes one batch to its end, by one of two loops. Where tfjs computes on the CPU, every token's logits are read in
 * place and drawn on the host. On a GPU the token is drawn on the device and fed straight back, and the host reads each
 * step's few numbers while the next step already runs; settings that cut the distribution off still go by the host.
 */
import * as tf from '@tensorflow/tfjs';
import { computesOnHost } from '../learn/host.ts';
import { headWeight, type Cache, type ForwardWeights, type Trunk } from '../model/trunk.ts';
import { drawOnDevice, type Draw, type RowSampling } from './device-sample.ts';
import { hostNumbers } from './read.ts';
import { chooseToken } from './sample.ts';
import { slotsToKeep, type OnToken, type Sequence } from './sequence.ts';

export type DecodeHooks = {
  onToken?: OnToken;
  onFinished?(): void;
  cancelled?(): boolean;
  yieldToEvents?(): Promise<void>;
};

export type Decoding = {
  readonly trunk: Trunk;
  readonly using: ForwardWeights;
  readonly cache: Cache;
  readonly ends: ReadonlySet<number>;
};

/** Takes over `hidden`, the prefilled batch's last states. // [sequences, hidden] */
export async function decodeToEnd(
  decoding: Decoding,
  sequences: readonly Sequence[],
  hidden: tf.Tensor2D,
  hooks: DecodeHooks,
): Promise<void> {
  const whole = sequences.every(
    ({ order: { sampling } }) =>
      sampling.temperature === 0 || (sampling.topK === 0 && sampling.topP === 1 && sampling.minP === 0),
  );
  return whole && !computesOnHost()
    ? decodeAhead(decoding, sequences, hidden, hooks)
    : decodeInStep(decoding, sequences, hidden, hooks);
}

function logitsOf({ trunk, using }: Decoding, hidden: tf.Tensor2D): tf.Tensor2D {
  return tf.matMul(hidden, headWeight(trunk.config, using.weights), false, true);
}

/** After every step: messages run, cancelling takes hold. */
async function afterStep(active: readonly Sequence[], hooks: DecodeHooks): Promise<void> {
  await hooks.yieldToEvents?.();
  if (hooks.cancelled?.()) for (const sequence of active) sequence.cancel();
}

// ---- the host draws ------------------------------------------------------------------------------------------

async function decodeInStep(
  decoding: Decoding,
  sequences: readonly Sequence[],
  start: tf.Tensor2D,
  hooks: DecodeHooks,
): Promise<void> {
  const { trunk, using, cache } = decoding;
  let active = [...sequences];
  let hidden: tf.Tensor2D | null = start;
  try {
    for (;;) {
      const logits = logitsOf(decoding, hidden);
      hidden.dispose();
      hidden = null;
      takeFromLogits(active, await hostNumbers(logits), trunk.config.vocab, decoding.ends, hooks);
      logits.dispose();
      await afterStep(active, hooks);
      const kept = slotsToKeep(active, cache.lengths, cache.capacity);
      if (kept?.length === 0) return;
      if (kept) {
        cache.select(kept);
        active = [...kept].map((slot) => active[slot]);
      }
      const ids = tf.tensor1d(active.map(({ lastId }) => lastId), 'int32'); // prettier-ignore
      hidden = trunk.decode(cache, ids, using);
      ids.dispose();
    }
  } finally {
    hidden?.dispose();
  }
}

function takeFromLogits(
  active: readonly Sequence[],
  logits: Float32Array,
  vocab: number,
  ends: ReadonlySet<number>,
  hooks: DecodeHooks,
): void {
  for (const [slot, sequence] of active.entries()) {
    if (sequence.finish !== null) continue;
    sequence.take(
      chooseToken(logits.subarray(slot * vocab, (slot + 1) * vocab), sequence.order.sampling, sequence.position),
      ends,
      hooks.onToken,
    );
    if (sequence.finish !== null) hooks.onFinished?.();
  }
}

// ---- the device draws ----------------------------------------------------------------------------------------

/** One step is always in flight beyond the one being read; what it drew for sequences that have ended is thrown away. */
async function decodeAhead(
  decoding: Decoding,
  sequences: readonly Sequence[],
  start: tf.Tensor2D,
  hooks: DecodeHooks,
): Promise<void> {
  const { trunk, using, cache } = decoding;
  /** How each slot's token is drawn, `ahead` tokens after those already read. */
  const rows = (ahead: number): RowSampling[] =>
    active.map(({ order, position }) => ({ sampling: order.sampling, position: position + ahead }));
  const drawFrom = (hidden: tf.Tensor2D, ahead: number): Draw => {
    if (trunk.drawing) return trunk.drawing.first(cache, hidden, using, rows(ahead));
    const logits = logitsOf(decoding, hidden);
    const draw = drawOnDevice(logits, rows(ahead));
    logits.dispose();
    return draw;
  };
  const advance = (ids: tf.Tensor1D, ahead: number): Draw => {
    if (trunk.drawing) return trunk.drawing.next(cache, ids, using, rows(ahead));
    const hidden = trunk.decode(cache, ids, using);
    const draw = drawFrom(hidden, ahead);
    hidden.dispose();
    return draw;
  };
  let active = [...sequences];
  let draw = drawFrom(start, 0);
  start.dispose();
  let next: Draw | null = null;
  try {
    for (;;) {
      const overflow = cache.lengths.some((length) => length >= cache.capacity);
      const lastToken = active.every((sequence) => sequence.finish !== null || sequence.tokens + 1 >= sequence.limit);
      if (!overflow && !lastToken) next = advance(draw.ids, 1);
      takeFromDraw(active, (await draw.numbers.data()) as Float32Array, decoding.ends, hooks);
      await afterStep(active, hooks);
      const kept = slotsToKeep(active, cache.lengths, cache.capacity);
      if (kept?.length === 0) return;
      if (kept) {
        cache.select(kept);
        active = [...kept].map((slot) => active[slot]);
        draw = selectRows(draw, kept);
        next = next && selectRows(next, kept);
      }
      // A slot at the end of its cache held the step back; it is gone now.
      next ??= advance(draw.ids, 0);
      tf.dispose([draw.ids, draw.numbers]);
      draw = next;
      next = null;
    }
  } finally {
    tf.dispose([draw.ids, draw.numbers]);
    if (next) tf.dispose([next.ids, next.numbers]);
  }
}

/** numbers: id, log-prob, entropy of every slot. // [slots, 3] */
function takeFromDraw(
  active: readonly Sequence[],
  numbers: Float32Array,
  ends: ReadonlySet<number>,
  hooks: DecodeHooks,
): void {
  for (const [slot, sequence] of active.entries()) {
    if (sequence.finish !== null) continue;
    const [id, logprob, entropy] = numbers.subarray(slot * 3, slot * 3 + 3);
    sequence.take({ id, logprob, entropy }, ends, hooks.onToken);
    if (sequence.finish !== null) hooks.onFinished?.();
  }
}

function selectRows(draw: Draw, kept: Int32Array): Draw {
  const rows = tf.tensor1d(kept, 'int32');
  const selected = { ids: tf.gather(draw.ids, rows), numbers: tf.gather(draw.numbers, rows) };
  tf.dispose([rows, draw.ids, draw.numbers]);
  return selected;
}
