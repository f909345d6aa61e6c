/**
 * Which of a team's outputs are worth imitating: rejection sampling by the trace's score, the record's own reward and its
 * format, at most so many traces a question, each text once, and for written teams whether they are consistent. Source:
 * RFT (Yuan et al. 2023, arXiv 2308.01825) and RAFT (Dong et al. 2023, arXiv 2304.06767); role by role as in SWE-Dev.
 */
import type { SftExample } from '../../engine/protocol.ts';
import { parseText } from '../run/parse.ts';
import type { TuneSettings } from '../schema/run.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Role, Workflow } from '../schema/workflow.ts';
import { consistentRecords } from './consistency.ts';
import { mean, scoreOf } from './summary.ts';

export type Filter = Pick<TuneSettings, 'minScore' | 'minReward' | 'legal' | 'best' | 'dedupe' | 'consistency'>;
export type Selected = { readonly policy: string | undefined; readonly example: SftExample };

/** The outputs of a round that pass the filter, in the traces' order. */
export function selectOutputs(traces: readonly Trace[], roles: Workflow['roles'], filter: Filter): Selected[] {
  const sampled = traces.filter((trace) => trace.phase === 'train' && trace.status === 'done');
  const chosen = bestOf(
    sampled.filter((trace) => scoreOf(trace) >= filter.minScore),
    filter.best,
  );
  const consistent = consistentRecords(sampled, roles, filter.consistency);
  const seen = new Set<string>();
  return chosen.flatMap((trace) =>
    trace.records.flatMap((record) => {
      if (record.prompt === undefined || record.role === undefined) return [];
      if (filter.legal && record.legal !== true) return [];
      if (filter.minReward !== undefined && (record.reward ?? -Infinity) < filter.minReward) return [];
      if (!consistent(trace, record)) return [];
      const response = responseOf(record, roles[record.role]);
      if (response === null) return [];
      const key = JSON.stringify([record.policy, record.prompt, response]);
      if (filter.dedupe && seen.has(key)) return [];
      seen.add(key);
      const example = { prompt: { messages: record.prompt }, response, role: record.role };
      return [{ policy: record.policy, example }];
    }),
  );
}

/** At most `count` traces of each question, by score, then by mean reward, then the earlier; 0 keeps all. */
function bestOf(traces: readonly Trace[], count: number): Trace[] {
  if (count === 0) return [...traces];
  const byQuery = new Map<string, Trace[]>();
  for (const trace of traces) {
    const own = byQuery.get(trace.query.id) ?? [];
    own.push(trace);
    byQuery.set(trace.query.id, own);
  }
  const kept = new Set([...byQuery.values()].flatMap((own) => own.sort(better).slice(0, count)));
  return traces.filter((trace) => kept.has(trace));
}

function better(a: Trace, b: Trace): number {
  return scoreOf(b) - scoreOf(a) || meanReward(b) - meanReward(a);
}

function meanReward({ records }: Trace): number {
  return mean(records.flatMap(({ reward }) => (reward === undefined ? [] : [reward])));
}

/** The whole text as the model would have to end it by itself; null where that is not known. */
function responseOf({ text, finish }: TraceRecord, role: Role | undefined): string | null {
  if (text === undefined || text === '') return null;
  if (finish === 'stop') return text;
  if (finish !== 'stop-string' || role === undefined) return null;
  // The sampler cuts the text before the stop string; without it a model would learn to leave its tags open.
  const { parser, sampling } = role;
  const stop = sampling.stop.find((each) => parseText(parser, text + each, 'stop').legal);
  return stop === undefined ? null : text + stop;
}
