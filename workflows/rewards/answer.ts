/**
 * Scores of a short answer against gold answers: exact match and token F1 after SQuAD's normalisation, the best over all
 * golds. Source: Rajpurkar et al. 2016 (SQuAD), section 6.1; yes/no golds are scored by exact match, as HotpotQA does.
 */
import { numberMatch } from './number.ts';

/** What a task can be scored by: words (F1, EM), equality of numbers, or a program's tests, all of which must pass. */
export const metrics = ['f1', 'em', 'number', 'passed'] as const;
export type Metric = (typeof metrics)[number];

/** Whole words; \b would cut at letters beyond ASCII. */
const articles = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** Lower case, without ASCII punctuation and English articles, white space collapsed. */
export function normalise(text: string): string {
  return text
    .toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, '')
    .replace(articles, ' ')
    .split(/\s+/u)
    .filter(Boolean)
    .join(' ');
}

/** 1 where the normalised texts are equal. */
export function exactMatch(text: string, golds: readonly string[]): number {
  const answer = normalise(text);
  return golds.some((gold) => normalise(gold) === answer) ? 1 : 0;
}

/** Token F1, the best over the golds, in [0, 1]. */
export function tokenF1(text: string, golds: readonly string[]): number {
  const answer = normalise(text);
  let best = 0;
  for (const gold of golds) best = Math.max(best, pairF1(answer, normalise(gold)));
  return best;
}

/** F1 and EM of one answer, and its equality as a number where the task is scored by that. Tests are run by a tool instead. */
export function scoreAnswer(
  text: string,
  golds: readonly string[],
  metric: Metric = 'f1',
): { f1: number; em: number; number?: number } {
  const words = { f1: tokenF1(text, golds), em: exactMatch(text, golds) };
  return metric === 'number' ? { ...words, number: numberMatch(text, golds) } : words;
}

const verdicts = new Set(['yes', 'no', 'noanswer']);

function pairF1(answer: string, gold: string): number {
  if (answer === gold) return 1;
  if (answer === '' || gold === '' || verdicts.has(answer) || verdicts.has(gold)) return 0;
  const left = new Map<string, number>();
  for (const word of gold.split(' ')) left.set(word, (left.get(word) ?? 0) + 1);
  const words = answer.split(' ');
  let common = 0;
  for (const word of words) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    common += 1;
    left.set(word, count - 1);
  }
  if (common === 0) return 0;
  const precision = common / words.length;
  const recall = common / gold.split(' ').length;
  return (2 * precision * recall) / (precision + recall);
}
