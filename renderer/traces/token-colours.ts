/**
 * Tokens coloured by a number of theirs. Improbable, uncertain and bad tend to orange, good to blue; strength is the
 * background's share, so text stays readable, and the number itself is always one key away.
 */
import type { ScoredRecord } from '../../workflows/protocol.ts';
import type { TraceTokens } from '../../workflows/schema/trace.ts';
import { score, signed } from '../kit/format.ts';
import { words } from '../words.ts';

export const quantities = [
  'logprob',
  'old',
  'new',
  'gap',
  'entropy',
  'advantage',
  'return',
  'value',
  'other',
  'ratio',
  'clipped',
  'kl',
] as const;
export type Quantity = (typeof quantities)[number];

/** A record's tokens, with what other weights say of them where that was asked, and the run's clip range. */
export type ShownTokens = TraceTokens & {
  readonly other?: readonly number[];
  readonly top?: ScoredRecord['top'];
  readonly clip?: number;
};

/** Before any update of the step: what PPO divides by. The sampler's own numbers where the trainer's were not kept. */
const oldOf = (tokens: TraceTokens): readonly number[] => tokens.oldLogprobs ?? tokens.logprobs;

/** What is set against the old: other weights where they were asked, else the update's last pass. */
const newOf = ({ other, newLogprobs }: ShownTokens): readonly number[] | undefined => other ?? newLogprobs;

/** The newer probability over the old one. Source: Schulman et al. 2017, eq. 6. */
function ratios(tokens: ShownTokens): number[] | undefined {
  return newOf(tokens)?.map((one, at) => Math.exp(one - oldOf(tokens)[at]));
}

/** Where PPO's clipped objective has no gradient: beyond the range, on the side the advantage pushes to. */
function clipped(tokens: ShownTokens): number[] | undefined {
  const { advantages, clip } = tokens;
  if (!advantages || clip === undefined) return undefined;
  const beyond = (ratio: number, advantage: number): boolean =>
    advantage > 0 ? ratio > 1 + clip : advantage < 0 && ratio < 1 - clip;
  return ratios(tokens)?.map((ratio, at) => Number(beyond(ratio, advantages[at])));
}

/** KL of the old weights to the newer, estimated from this one token: r − 1 − ln r with r = new / old. Never negative. */
function divergences(tokens: ShownTokens): number[] | undefined {
  return ratios(tokens)?.map((ratio, at) => ratio - 1 - (newOf(tokens)![at] - oldOf(tokens)[at]));
}

/** Share of the tone in the background, percent; above it text would lose contrast. */
export const STRONGEST = 55;

export function numbersOf(tokens: ShownTokens, quantity: Quantity): readonly number[] | undefined {
  switch (quantity) {
    case 'logprob':
      return tokens.logprobs;
    case 'old':
      return tokens.oldLogprobs;
    case 'new':
      return tokens.newLogprobs;
    case 'gap':
      return tokens.oldLogprobs?.map((old, at) => old - tokens.logprobs[at]);
    case 'entropy':
      return tokens.entropy;
    case 'advantage':
      return tokens.advantages;
    case 'return':
      return tokens.returns;
    case 'value':
      return tokens.values;
    case 'other':
      return tokens.other;
    case 'ratio':
      return ratios(tokens)?.map(Math.log);
    case 'clipped':
      return clipped(tokens);
    case 'kl':
      return divergences(tokens);
  }
}

export function available(tokens: ShownTokens): Quantity[] {
  return quantities.filter((quantity) => (numbersOf(tokens, quantity)?.length ?? 0) > 0);
}

export type Scale = {
  readonly from: number;
  readonly to: number;
  readonly signed: boolean;
  /** Which end has no colour. */
  readonly plain: 'low' | 'high' | 'middle';
};

/** Fixed scales where the quantity has a natural one, so that colours mean the same in every record. */
export function scaleOf(quantity: Quantity, numbers: readonly number[]): Scale {
  const most = (least: number): number => numbers.reduce((far, one) => Math.max(far, Math.abs(one)), least);
  switch (quantity) {
    case 'logprob':
    case 'old':
    case 'new':
    case 'other':
      return { from: -5, to: 0, signed: false, plain: 'high' };
    case 'entropy':
      return { from: 0, to: most(3), signed: false, plain: 'low' };
    case 'kl':
      return { from: 0, to: most(0.1), signed: false, plain: 'low' };
    case 'clipped':
      return { from: 0, to: 1, signed: false, plain: 'low' };
    case 'ratio':
    case 'gap':
      return { from: -most(0.2), to: most(0.2), signed: true, plain: 'middle' };
    default:
      return { from: -most(1), to: most(1), signed: true, plain: 'middle' };
  }
}

export type Tint = { readonly tone: 'good' | 'bad'; readonly percent: number };

export function tint(value: number, { from, to, plain }: Scale): Tint {
  if (plain === 'middle') return { tone: value < 0 ? 'bad' : 'good', percent: share(Math.abs(value) / to) };
  return { tone: 'bad', percent: share(plain === 'high' ? value / from : value / to) };
}

function share(of: number): number {
  return Math.round(Math.min(1, Math.max(0, Number.isFinite(of) ? of : 0)) * STRONGEST);
}

/** A piece as a person can see it: blanks and line ends get a sign. */
export function visible(piece: string): string {
  return piece.replaceAll('\n', '↵').replaceAll('\t', '⇥').replaceAll(' ', '\u00b7') || '∅';
}

/** What the other weights would most likely have said in a token's place: "“Ostra” 62 %". */
export function alternatives({ top }: ShownTokens, at: number): string[] {
  return (top?.[at] ?? []).map(({ piece, logprob }) =>
    words.traces.tokens.alternative(visible(piece), `${(Math.exp(logprob) * 100).toFixed(1)} %`),
  );
}

/** Everything known of one token, in words. */
export function tokenFacts(tokens: ShownTokens, at: number): string[] {
  const { quantities: names, probability, yes, no } = words.traces.tokens;
  return available(tokens).flatMap((quantity) => {
    const value = numbersOf(tokens, quantity)![at];
    if (quantity === 'logprob')
      return [`${names.logprob} ${signed(value)}`, probability(`${(Math.exp(value) * 100).toFixed(1)} %`)];
    if (quantity === 'clipped') return [`${names.clipped} ${value === 1 ? yes : no}`];
    if (quantity === 'ratio') return [`${names.ratio} ${signed(value, 3)} (× ${Math.exp(value).toFixed(3)})`];
    if (quantity === 'entropy') return [`${names.entropy} ${score(value)}`];
    if (quantity === 'kl') return [`${names.kl} ${score(value, 4)}`];
    return [`${names[quantity]} ${signed(value, quantity === 'gap' ? 3 : 2)}`];
  });
}
