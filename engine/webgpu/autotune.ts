/**
 * Measures, for each product that decoding a model needs, which of a few cuts is fastest on the open adapter, and remembers
 * it. Cuts differ in how many rows and outputs a thread takes, never in the order a sum is added up in, so that a choice
 * changes no bit of any result. A tuning takes a second or so; what that does not suffice for is measured another time.
 */
import type { Bound, Gpu, Step } from './gpu.ts';
import type { Kernel, ProductCut, ProductShape, Tuning } from './kernel.ts';
import { usualCut } from './kernels/product-loop.ts';

/** A kernel whose product is to be measured, bound to numbers of no meaning. */
export type Contest = { readonly buffers: readonly Bound[]; kernel(tuning: Tuning): Kernel };

/** What may be spent on a model before no other product is begun with. */
const SPEND_MS = 1500;
/** A cut must be faster by this much to be preferred: less is noise. */
const CLEARLY = 0.9;
/** Of all cuts by turns, so that what else a machine does falls on none alone. */
const ROUNDS = 5;
/** What a turn of the usual cut lasts: long beside what telling the host of its end takes. Others make as many calls. */
const TURN_MS = { gpu: 2, software: 10 };
/** Calls that their number is taken from. */
const SOME_CALLS = 4;
const MOST_CALLS = 64;

const written = ({ rows, outputs }: ProductCut): string => `${rows}x${outputs}`;

function keyOf({ format, columns, outputs, matrices }: ProductShape, rows: number): string {
  const what = `${format.precision} ${columns} to ${outputs}`;
  return `${matrices > 1 ? `${matrices} of ` : ''}${what}, ${rows} rows`;
}

export class Autotuner {
  readonly #gpu: Gpu;
  readonly #chosen: Map<string, string>;
  readonly #changed: (chosen: Readonly<Record<string, string>>) => void;

  /** `known`: what an earlier one told of; what does not fit the products of today is measured again. */
  constructor(
    gpu: Gpu,
    known: Readonly<Record<string, string>>,
    changed: (chosen: Readonly<Record<string, string>>) => void,
  ) {
    this.#gpu = gpu;
    this.#chosen = new Map(Object.entries(known));
    this.#changed = changed;
  }

  /** `tuning`, with what was and will be measured. */
  applied(tuning: Tuning): Tuning {
    return { ...tuning, measured: (product, rows) => this.#cut(tuning, product, rows) };
  }

  #cut(tuning: Tuning, product: ProductShape, rows: number): ProductCut | null {
    const chosen = this.#chosen.get(keyOf(product, rows));
    if (chosen === undefined) return null;
    return cutsOf(tuning, rows, product).find((cut) => written(cut) === chosen) ?? null;
  }

  /** Holds those contests, all of `rows` rows, whose outcome is not known; none begins once the time is spent. */
  async tune(tuning: Tuning, rows: number, contests: readonly Contest[], spendMs = SPEND_MS): Promise<void> {
    let left = spendMs;
    let changed = false;
    for (const contest of contests) {
      const product = productOf(contest, tuning);
      const cuts = cutsOf(tuning, rows, product);
      if (left <= 0 || cuts.length < 2 || this.#cut(tuning, product, rows)) continue;
      const { winner, spentMs } = await this.#hold(tuning, rows, contest, cuts);
      this.#chosen.set(keyOf(product, rows), written(winner));
      left -= spentMs;
      changed = true;
    }
    if (changed) this.#changed(Object.fromEntries(this.#chosen));
  }

  /** The first cut is compiled in any case, so that is not counted. */
  async #hold(
    tuning: Tuning,
    rows: number,
    { kernel, buffers }: Contest,
    cuts: readonly ProductCut[],
  ): Promise<{ readonly winner: ProductCut; readonly spentMs: number }> {
    const stepOf = (cut: ProductCut): Step => this.#gpu.bind(kernel({ ...tuning, measured: () => cut }), buffers);
    const steps = [stepOf(cuts[0])];
    await this.#time(steps[0], rows, 1);
    const started = performance.now();
    for (const cut of cuts.slice(1)) await this.#time(steps[steps.push(stepOf(cut)) - 1], rows, 1); // compiles
    const turnMs = this.#gpu.software ? TURN_MS.software : TURN_MS.gpu;
    const once = (await this.#time(steps[0], rows, SOME_CALLS)) / SOME_CALLS;
    const calls = Math.max(1, Math.min(MOST_CALLS, Math.round(turnMs / Math.max(once, 1e-3))));
    const rounds: number[][] = [];
    while (rounds.length < ROUNDS) {
      const times: number[] = [];
      for (const step of steps) times.push(await this.#time(step, rows, calls));
      rounds.push(times);
    }
    return { winner: cuts[winnerOf(rounds)], spentMs: performance.now() - started };
  }

  /** Milliseconds of so many calls. */
  async #time(step: Step, rows: number, calls: number): Promise<number> {
    const started = performance.now();
    this.#gpu.run(new Array<Step>(calls).fill(step), rows);
    await this.#gpu.device.queue.onSubmittedWorkDone();
    return performance.now() - started;
  }
}

/** The one product of a contest, which asks how to be cut. */
function productOf({ kernel }: Contest, tuning: Tuning): ProductShape {
  const asked: ProductShape[] = [];
  const measured = (product: ProductShape): null => {
    asked.push(product);
    return null;
  };
  const { name } = kernel({ ...tuning, measured });
  if (asked.length !== 1) throw new Error(`${name} holds ${asked.length} products to be cut`);
  return asked[0];
}

/** Of the times of each round, the fastest by its median share of the first one's, or the first where none is clearly faster. */
export function winnerOf(rounds: readonly (readonly number[])[]): number {
  const shares = rounds[0].map((_, i) => median(rounds.map((times) => times[i] / times[0])));
  const best = shares.indexOf(Math.min(...shares));
  return shares[best] < CLEARLY ? best : 0;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

/**
 * What is worth a try for so many rows: the usual cut, tiles of the next fewer rows, and on a GPU fewer or more outputs to a
 * thread. Where an emulating adapter compiles for a second, every try is dear.
 */
export function cutsOf(tuning: Tuning, count: number, { matrices, divisible }: ProductShape): ProductCut[] {
  const { rows, outputs } = usualCut(tuning, count, matrices);
  const fewerRows = tuning.rows.filter((own) => own < rows).slice(-1);
  const others = divisible && tuning.stages ? [outputs / 2, outputs * 2] : [];
  return [rows, ...fewerRows].flatMap((own) =>
    [outputs, ...others.filter(Number.isInteger)].map((one) => ({ rows: own, outputs: one })),
  );
}
