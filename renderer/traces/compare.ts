/**
 * Two traces of one question side by side, by checkpoint, cast or fork: records are aligned by node and visit, and what came
 * out otherwise is told apart from what stayed.
 */
import type { TraceFilter } from '../../workflows/protocol.ts';
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';
import { QUESTIONS } from '../../workflows/workspace/layout.ts';
import { valueText } from '../kit/format.ts';
import { standings, type Standing } from './forks.ts';
import { recordName } from './trace-scene.ts';

export type Difference = {
  readonly id: string;
  readonly name: string;
  readonly standing: Exclude<Standing, 'kept'>;
  /** What the record said or gave in the other trace and in this one; null where it did not run. */
  readonly before: string | null;
  readonly after: string | null;
  readonly rewardBefore: number | undefined;
  readonly rewardAfter: number | undefined;
};

/** Records that came out otherwise, in the order they ran here, then those that ran in the other alone. */
export function differences(other: Trace, trace: Trace): Difference[] {
  const [then, now] = [other, trace].map(({ records }) => new Map(records.map((record) => [record.id, record])));
  return [...standings(other, trace)].flatMap(([id, standing]) => {
    if (standing === 'kept') return [];
    const [before, after] = [then.get(id), now.get(id)];
    return [
      {
        id,
        standing,
        name: recordName((after ?? before)!),
        before: before ? saidBy(before) : null,
        after: after ? saidBy(after) : null,
        rewardBefore: before?.reward,
        rewardAfter: after?.reward,
      },
    ];
  });
}

function saidBy({ error, text, outputs, inputs, kind }: TraceRecord): string {
  if (error !== undefined) return error;
  if (text !== undefined) return text;
  return Object.values(kind === 'output' ? inputs : outputs)
    .map(valueText)
    .join('\n');
}

/** The traces of a run that answer the same question; single questions have no id of their own in a task. */
export function sameQuestion({ query }: Pick<Trace, 'query'>, run: string): TraceFilter {
  const own = run === QUESTIONS || query.id === 'question';
  return { ...(own ? { text: query.question } : { query: query.id }), limit: 200 };
}
