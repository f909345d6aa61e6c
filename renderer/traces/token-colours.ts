/**
 * Tokens coloured by a number of theirs. Improbable, uncertain and bad tend to orange, good to blue; strength is the
 * background's share, so text stays readable, and the number itself is always one key away.
 */
import type { TraceTokens } from '../../workflows/schema/trace.ts';
import { score, signed } from '../kit/format.ts';
import { words } from '../words.ts';

export const quantities = ['logprob', 'entropy', 'advantage', 'value', 'ratio'] as const;
export type Quantity = (typeof quantities)[number];

/** Share of the tone in the background, percent; above it text would lose contrast. */
export const STRONGEST = 55;

export function numbersOf(tokens: TraceTokens, quantity: Quantity): readonly number[] | undefined {
  switch (quantity) {
    case 'logprob':
      return tokens.logprobs;
    case 'entropy':
      return tokens.entropy;
    case 'advantage':
      return tokens.advantages;
    case 'value':
      return tokens.values;
    case 'ratio':
      return tokens.oldLogprobs?.map((old, at) => old - tokens.logprobs[at]);
  }
}

export function available(tokens: TraceTokens): Quantity[] {
  return quantities.filter((quantity) => (numbersOf(tokens, quantity)?.length ?? 0) > 0);
}

export type Scale = { readonly from: number; readonly to: number; readonly signed: boolean };

/** Fixed scales where the quantity has a natural one, so that colours mean the same in every record. */
export function scaleOf(quantity: Quantity, numbers: readonly number[]): Scale {
  if (quantity === 'logprob') return { from: -5, to: 0, signed: false };
  if (quantity === 'entropy') return { from: 0, to: Math.max(3, ...numbers), signed: false };
  const far = Math.max(quantity === 'ratio' ? 0.2 : 1, ...numbers.map(Math.abs));
  return { from: -far, to: far, signed: true };
}

export type Tint = { readonly tone: 'good' | 'bad'; readonly percent: number };

export function tint(quantity: Quantity, value: number, scale: Scale): Tint {
  if (scale.signed) return { tone: value < 0 ? 'bad' : 'good', percent: share(Math.abs(value) / scale.to) };
  if (quantity === 'logprob') return { tone: 'bad', percent: share(value / scale.from) };
  return { tone: 'bad', percent: share(value / scale.to) };
}

function share(of: number): number {
  return Math.round(Math.min(1, Math.max(0, Number.isFinite(of) ? of : 0)) * STRONGEST);
}

/** A piece as a person can see it: blanks and line ends get a sign. */
export function visible(piece: string): string {
  return piece.replaceAll('\n', '↵').replaceAll('\t', '⇥').replaceAll(' ', '\u00b7') || '∅';
}

/** Everything known of one token, in words. */
export function tokenFacts(tokens: TraceTokens, at: number): string[] {
  const names = words.traces.tokens.quantities;
  const facts = [
    `${names.logprob} ${signed(tokens.logprobs[at])}`,
    words.traces.tokens.probability(`${(Math.exp(tokens.logprobs[at]) * 100).toFixed(1)} %`),
    `${names.entropy} ${score(tokens.entropy[at])}`,
  ];
  if (tokens.advantages?.[at] !== undefined) facts.push(`${names.advantage} ${signed(tokens.advantages[at])}`);
  if (tokens.values?.[at] !== undefined) facts.push(`${names.value} ${signed(tokens.values[at])}`);
  if (tokens.oldLogprobs?.[at] !== undefined)
    facts.push(`${names.ratio} ${signed(tokens.oldLogprobs[at] - tokens.logprobs[at], 3)}`);
  return facts;
}
