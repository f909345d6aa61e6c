/**
 * What a fork says beside the trace it left: which records stayed, which one was changed, which came out otherwise; and what
 * many draws of one record say together about how much the outcome hung on it.
 */
import type { ForkChange, Trace, TraceRecord } from '../../workflows/schema/trace.ts';
import { outcomeOf } from '../../workflows/train/summary.ts';
import type { Scene } from '../graph/scene.ts';
import { score, signed } from '../kit/format.ts';
import { traceScene, type TraceCard } from './trace-scene.ts';

/** `other`: run anew with another result. `gone`: only the original has it. */
export type Standing = 'kept' | 'changed' | 'other' | 'new' | 'gone';

/** Of every record of either, by id. */
export function standings(original: Trace, fork: Trace): Map<string, Standing> {
  const before = new Map(original.records.map((record) => [record.id, record]));
  const found = new Map<string, Standing>();
  for (const record of fork.records) {
    const then = before.get(record.id);
    if (record.id === fork.fork?.record) found.set(record.id, 'changed');
    else if (then === undefined) found.set(record.id, 'new');
    else found.set(record.id, result(then) === result(record) ? 'kept' : 'other');
  }
  for (const id of before.keys()) if (!found.has(id)) found.set(id, 'gone');
  return found;
}

function result({ text, outputs, error, inputs, kind }: TraceRecord): string {
  return JSON.stringify([text, outputs, error, kind === 'output' ? inputs : null]);
}

/** Both as one graph: the fork's records, and behind them those that only the original has. */
export function forkScene(original: Trace, fork: Trace): Scene<TraceCard> {
  const standing = standings(original, fork);
  const own = traceScene(fork);
  const old = traceScene(original);
  const gone = (id: string): boolean => standing.get(id) === 'gone';
  return {
    ...own,
    cards: [
      ...own.cards.map((card) => ({ ...card, standing: standing.get(card.id) })),
      ...old.cards.filter(({ id }) => gone(id)).map((card) => ({ ...card, standing: 'gone' as const })),
    ],
    wires: [...own.wires, ...old.wires.filter(({ to }) => gone(to))],
  };
}

export type Draw = { readonly id: string; readonly text: string; readonly outcome: number | null };

export type Audit = {
  readonly draws: readonly Draw[];
  /** Outcome of the trace itself. */
  readonly given: number;
  readonly mean: number;
  /** Standard error of the mean; null for a single draw. */
  readonly error: number | null;
  /** How far the trace's outcome stands above what other draws of this record lead to. */
  readonly worth: number;
};

/** What the draws of one record among a trace's forks say; null without one, or where the trace has no outcome. */
export function auditOf(trace: Trace, record: string, forks: readonly Trace[]): Audit | null {
  const given = outcomeOf(trace);
  const draws = forks
    .filter(({ fork }) => fork?.record === record && fork.change.kind === 'seed')
    .map((fork) => ({
      id: fork.id,
      text: fork.records.find(({ id }) => id === record)?.text ?? '',
      outcome: outcomeOf(fork),
    }));
  const outcomes = draws.flatMap(({ outcome }) => (outcome === null ? [] : [outcome]));
  if (given === null || outcomes.length === 0) return null;
  const mean = outcomes.reduce((a, b) => a + b, 0) / outcomes.length;
  const squares = outcomes.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  const error = outcomes.length > 1 ? Math.sqrt(squares / (outcomes.length - 1) / outcomes.length) : null;
  return { draws, given, mean, error, worth: given - mean };
}

/** A seed that no fork has used, nor any above it. */
export function freshSeed(forks: readonly Trace[]): number {
  return (
    forks.reduce((most, { fork }) => (fork?.change.kind === 'seed' ? Math.max(most, fork.change.seed) : most), 0) + 1
  );
}

/** A tool's result as a person wrote it, or why it cannot be read. */
export function parsedOutputs(
  text: string,
): { outputs: Extract<ForkChange, { kind: 'outputs' }>['outputs'] } | { problem: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return { outputs: value as Extract<ForkChange, { kind: 'outputs' }>['outputs'] };
    return { problem: 'object' };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

/** How a record of a trace is called; one that is not there by its id. */
export function titleIn({ records }: Pick<Trace, 'records'>, record: string): string {
  return records.find(({ id }) => id === record)?.title || record;
}

/** A fork's score, and how far it stands from that of the trace it left: "0.50 (−0.50)". */
export function scoreChange(from: Trace, to: Trace): string {
  const [before, after] = [outcomeOf(from), outcomeOf(to)];
  return before === null || after === null ? score(after) : `${score(after)} (${signed(after - before)})`;
}
