/**
 * Decodes the sequences of one cache to their end, by one of two loops; as some end, others that wait take their slots.
 * Where tfjs computes on the CPU, every token's logits are read in place and drawn on the host. On a GPU the token is drawn on
 * the device and fed straight back, and the host reads a step's few numbers while later steps already run; where there is no
 * kernel for it, settings that cut the distribution off go by the host.
 */
import * as tf from '@tensorflow/tfjs';
import { computesOnHost } from '../learn/host.ts';
import { headWeight, type Trunk, type Weights } from '../model/trunk.ts';
import { drawOnDevice, type Draw, type RowSampling } from './device-sample.ts';
import { drawWeighed, type RowDrawer } from '../wasm/draw.ts';
import { hostNumbers } from './read.ts';
import { chooseToken } from './sample.ts';
import type { Arrival, Seat, Seats } from './seats.ts';
import type { Sequence } from './sequence.ts';

export type Decoding = {
  readonly seats: Seats;
  readonly weights: Weights;
  readonly ends: ReadonlySet<number>;
  yieldToEvents?(): Promise<void>;
};

/** Whether the device can draw this sequence's tokens: there is a device, and the trunk can cut its distribution off or need not. */
export function drawnOnDevice({ drawing }: Trunk, { order: { sampling } }: Sequence): boolean {
  const whole = sampling.topK === 0 && sampling.topP === 1 && sampling.minP === 0;
  return !computesOnHost() && (drawing !== null || sampling.temperature === 0 || whole);
}

function logitsOf({ seats, weights }: Decoding, hidden: tf.Tensor2D): tf.Tensor2D {
  const { trunk, cache } = seats;
  return trunk.logits?.(cache, hidden) ?? tf.matMul(hidden, headWeight(trunk.config, weights), false, true);
}

/** After every step: messages run, cancelling takes hold. */
async function afterStep({ seats, yieldToEvents }: Decoding): Promise<void> {
  await yieldToEvents?.();
  seats.heed();
}

/** Of every slot the token its sequence took last; an empty one gets any. */
const lastIds = (seats: Seats): tf.Tensor1D =>
  tf.tensor1d(seats.seats.map((seat) => (seat && seat.sequence.tokens > 0 ? seat.sequence.lastId : 0)), 'int32'); // prettier-ignore

const placeOf = ({ sequence, drawn }: Seat): number => sequence.order.promptIds.length + drawn;

// ---- the host draws ------------------------------------------------------------------------------------------

export async function decodeInStep(decoding: Decoding): Promise<void> {
  const { seats } = decoding;
  for (;;) {
    for (let arrival = seats.fill(); arrival; arrival = seats.fill())
      await takeFromStates(decoding, arrival.hidden, arrival.seats);
    if (seats.live === 0) return;
    seats.shrink();
    seats.rest();
    const ids = lastIds(seats);
    const hidden = seats.trunk.decode(seats.cache, ids);
    ids.dispose();
    await takeFromStates(decoding, hidden, seats.seats);
  }
}

/** Takes over `hidden`. // [seats.length, hidden] */
async function takeFromStates(decoding: Decoding, hidden: tf.Tensor2D, seats: readonly (Seat | null)[]): Promise<void> {
  const logits = logitsOf(decoding, hidden);
  hidden.dispose();
  const alive = seats.map((seat) => (seat && seat.sequence.finish === null ? seat : null));
  const vocab = logits.shape[1];
  const take = (rows: Float32Array, draw?: RowDrawer): void =>
    alive.forEach((seat, row) => {
      if (!seat) return;
      const { sampling } = seat.sequence.order;
      const choice =
        draw?.(row, placeOf(seat)) ??
        chooseToken(rows.subarray(row * vocab, (row + 1) * vocab), sampling, placeOf(seat));
      seat.drawn++;
      seat.sequence.take(choice, decoding.ends);
    });
  const samplings = alive.map((seat) => seat?.sequence.order.sampling ?? null);
  if (!drawWeighed(logits, samplings, take)) take(await hostNumbers(logits));
  logits.dispose();
  await afterStep(decoding);
}

// ---- the device draws ----------------------------------------------------------------------------------------

/** A draw whose numbers are on their way: of each row, whose token it is. */
type UnderWay = {
  readonly seats: readonly (Seat | null)[];
  readonly numbers: tf.Tensor2D;
  readonly read: Promise<ArrayLike<number>>;
};

/** Steps are ordered ahead of those being read; what they draw for sequences that have ended is thrown away. */
export async function decodeAhead(decoding: Decoding): Promise<void> {
  const { seats } = decoding;
  const ahead = seats.trunk.drawing?.ahead ?? 1;
  const underWay: UnderWay[] = [];
  /** The next step's input, of every slot. */
  let ids = tf.zeros<tf.Rank.R1>([seats.seats.length], 'int32');
  const order = (draw: Draw, who: readonly (Seat | null)[]): tf.Tensor1D => {
    for (const seat of who) if (seat) seat.drawn++;
    const read = draw.numbers.data();
    read.catch(() => {}); // whoever awaits it is told
    underWay.push({ seats: [...who], numbers: draw.numbers, read });
    return draw.ids;
  };
  try {
    for (;;) {
      for (let arrival = seats.fill(); arrival; arrival = seats.fill())
        ids = withRows(ids, order(firstDraw(decoding, arrival), arrival.seats), arrival.slots);
      const kept = seats.shrink();
      if (kept) ids = selectRows(ids, kept);
      while (seats.live > 0 && underWay.length <= ahead) {
        seats.rest();
        const next = order(nextDraw(decoding, ids), seats.seats);
        ids.dispose();
        ids = next;
      }
      const oldest = underWay.shift();
      if (!oldest) return;
      try {
        takeFromNumbers(oldest.seats, await oldest.read, decoding.ends);
      } finally {
        oldest.numbers.dispose();
      }
      await afterStep(decoding);
    }
  } finally {
    ids.dispose();
    await Promise.allSettled(underWay.map(({ read }) => read));
    tf.dispose(underWay.map(({ numbers }) => numbers));
  }
}

function firstDraw(decoding: Decoding, { hidden, slots, seats }: Arrival): Draw {
  const { trunk, cache } = decoding.seats;
  const rows = seats.map(rowSampling);
  const draw = trunk.drawing ? trunk.drawing.first(cache, hidden, slots, rows) : drawFromStates(decoding, hidden, rows);
  hidden.dispose();
  return draw;
}

function nextDraw(decoding: Decoding, ids: tf.Tensor1D): Draw {
  const { trunk, cache, seats } = decoding.seats;
  const rows = seats.map(rowSampling);
  if (trunk.drawing) return trunk.drawing.next(cache, ids, rows);
  const hidden = trunk.decode(cache, ids);
  const draw = drawFromStates(decoding, hidden, rows);
  hidden.dispose();
  return draw;
}

function drawFromStates(decoding: Decoding, hidden: tf.Tensor2D, rows: readonly RowSampling[]): Draw {
  const logits = logitsOf(decoding, hidden);
  const draw = drawOnDevice(logits, rows);
  logits.dispose();
  return draw;
}

const GREEDY = { temperature: 0, topK: 0, topP: 1, minP: 0, maxTokens: 1, stop: [], seed: 0 };

/** An empty slot's token is drawn as well, the cheapest way. */
const rowSampling = (seat: Seat | null): RowSampling =>
  seat ? { sampling: seat.sequence.order.sampling, position: placeOf(seat) } : { sampling: GREEDY, position: 0 };

/** numbers: id, log-prob, entropy of every row. // [rows, 3] */
function takeFromNumbers(seats: readonly (Seat | null)[], numbers: ArrayLike<number>, ends: ReadonlySet<number>): void {
  for (const [row, seat] of seats.entries()) {
    if (!seat || seat.sequence.finish !== null) continue;
    const [id, logprob, entropy] = [numbers[row * 3], numbers[row * 3 + 1], numbers[row * 3 + 2]];
    seat.sequence.take({ id, logprob, entropy }, ends);
  }
}

/** Takes over both. // [slots] with `rows` at `slots` */
function withRows(ids: tf.Tensor1D, rows: tf.Tensor1D, slots: Int32Array): tf.Tensor1D {
  const places = Int32Array.from({ length: ids.size }, (_, slot) => slot);
  slots.forEach((slot, i) => (places[slot] = ids.size + i));
  const both = tf.concat1d([ids, rows]);
  tf.dispose([ids, rows]);
  return selectRows(both, places);
}

/** Takes over `ids`. */
function selectRows(ids: tf.Tensor1D, rows: Int32Array): tf.Tensor1D {
  return tf.tidy(() => {
    const selected = tf.gather(ids, tf.tensor1d(rows, 'int32'));
    ids.dispose();
    return selected;
  });
}
