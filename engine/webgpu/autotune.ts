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
const CLEARLY = 0.95;
/** Of each cut, by turns; the shortest counts, so that what else a machine does falls on none alone. */
const ROUNDS = 4;
/** What a turn lasts at least, in repetitions. */
const TURN_MS = 2;
const MOST_CALLS = 32;

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
      const { winner, spentMs } = await this.#hold(tuning, rows, contest, cuts, left);
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
    mostMs: number,
  ): Promise<{ readonly winner: ProductCut; readonly spentMs: number }> {
    const runnerOf = (cut: ProductCut): Promise<() => Promise<number>> =>
      this.#runner(this.#gpu.bind(kernel({ ...tuning, measured: () => cut }), buffers), rows);
    const runners = [await runnerOf(cuts[0])];
    const started = performance.now();
    for (const cut of cuts.slice(1)) runners.push(await runnerOf(cut));
    const times = runners.map(() => Infinity);
    for (let round = 0; round < ROUNDS; round++) {
      if (round > 0 && performance.now() - started > mostMs) break;
      for (const [i, run] of runners.entries()) times[i] = Math.min(times[i], await run());
    }
    return { winner: cuts[winnerOf(times)], spentMs: performance.now() - started };
  }

  /** A compiled step's milliseconds, again and again. */
  async #runner(step: Step, rows: number): Promise<() => Promise<number>> {
    const timed = async (calls: number): Promise<number> => {
      const started = performance.now();
      this.#gpu.run(
        Array.from({ length: calls }, () => step),
        rows,
      );
      await this.#gpu.device.queue.onSubmittedWorkDone();
      return (performance.now() - started) / calls;
    };
    await timed(1); // compiles
    const calls = Math.max(1, Math.min(MOST_CALLS, Math.round(TURN_MS / Math.max(await timed(1), 1e-3))));
    return () => timed(calls);
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

/** The fastest, or the first where none is clearly faster. */
export function winnerOf(times: readonly number[]): number {
  const best = times.indexOf(Math.min(...times));
  return times[best] < times[0] * CLEARLY ? best : 0;
}

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
