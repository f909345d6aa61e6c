/**
 * The numbers a person watches, for the whole policy and for each role: counted token by token while the update runs, in
 * plain float64. Names are cleanrl's where cleanrl has one; docs/training.md says what each means.
 */

/** One response token as one optimiser step saw it. */
export type TokenSeen = {
  /** The policy loss before weighting, and its weight in the mini-batch. */
  readonly loss: number;
  readonly weight: number;
  readonly logratio: number;
  readonly clipped: boolean;
  readonly entropy: number;
  readonly valueLoss: number;
  /** How hard the token pulls on the logits: |dL/dlogprob| (1 - p). */
  readonly pull: number;
};

type Sums = {
  tokens: number;
  weight: number;
  loss: number;
  kl: number;
  oldKl: number;
  clipped: number;
  entropy: number;
  valueLoss: number;
  pull: number;
};

const noSums = (): Sums => ({
  tokens: 0,
  weight: 0,
  loss: 0,
  kl: 0,
  oldKl: 0,
  clipped: 0,
  entropy: 0,
  valueLoss: 0,
  pull: 0,
});

export class Tally {
  readonly #all = noSums();
  readonly #roles = new Map<string, Sums>();

  add(role: string, seen: TokenSeen): void {
    const own = this.#roles.get(role) ?? noSums();
    this.#roles.set(role, own);
    for (const sums of [this.#all, own]) addTo(sums, seen);
  }

  /** Over all tokens; `losses/policy` is the mean of the mini-batches' aggregated losses when their weights sum to one. */
  all(): Record<string, number> {
    return means(this.#all);
  }

  role(role: string): Record<string, number> {
    const own = this.#roles.get(role);
    if (!own) return {};
    return {
      ...means(own),
      'tokens/share': own.tokens / this.#all.tokens,
      'gradient/share': this.#all.pull > 0 ? own.pull / this.#all.pull : 0,
    };
  }
}

function addTo(sums: Sums, seen: TokenSeen): void {
  sums.tokens++;
  sums.weight += seen.weight;
  sums.loss += seen.weight * seen.loss;
  sums.kl += Math.expm1(seen.logratio) - seen.logratio;
  sums.oldKl -= seen.logratio;
  sums.clipped += seen.clipped ? 1 : 0;
  sums.entropy += seen.entropy;
  sums.valueLoss += seen.valueLoss;
  sums.pull += seen.pull;
}

function means(sums: Sums): Record<string, number> {
  const per = (x: number) => x / Math.max(1, sums.tokens);
  return {
    'losses/policy': sums.weight > 0 ? sums.loss / sums.weight : 0,
    'losses/value': per(sums.valueLoss),
    'losses/approx_kl': per(sums.kl),
    'losses/old_approx_kl': per(sums.oldKl),
    'losses/clipfrac': per(sums.clipped),
    'losses/entropy': per(sums.entropy),
  };
}

/** Mean and standard deviation (population) of some numbers; zeros for none. */
export function meanAndStd(numbers: readonly number[]): { mean: number; std: number } {
  if (numbers.length === 0) return { mean: 0, std: 0 };
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length;
  return { mean, std: Math.sqrt(numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / numbers.length) };
}

/** 1 - var(returns - values) / var(returns) over the chosen tokens; null where returns do not vary. */
export function explainedVariance(
  values: Float32Array,
  returns: Float32Array,
  tokens: Iterable<number>,
): number | null {
  const chosen = [...tokens];
  const spread = meanAndStd(chosen.map((t) => returns[t])).std;
  if (spread < 1e-8) return null;
  return 1 - (meanAndStd(chosen.map((t) => returns[t] - values[t])).std / spread) ** 2;
}
