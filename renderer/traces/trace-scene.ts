/** A trace as a scene: one card for each executed record, unrolled by turn, wires from the records whose values it read. */
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';
import type { Scene, SceneCard } from '../graph/scene.ts';
import { shortened, signed, valueText } from '../kit/format.ts';
import { words } from '../words.ts';

export type TraceCard = SceneCard & {
  readonly record: TraceRecord;
  readonly place: number;
  readonly detail: string;
  /** In a fork: how it stands to the original. */
  readonly standing?: 'kept' | 'changed' | 'other' | 'new' | 'gone' | undefined;
};

const width = 178;
const height = 66;

/** The one line a card shows: what the record gave. */
export function detailOf(record: TraceRecord): string {
  if (record.error) return shortened(record.error, 60);
  const values = Object.values(record.outputs);
  if (values.length === 0)
    return record.kind === 'output' ? shortened(Object.values(record.inputs).map(valueText).join(' '), 60) : '';
  const [first] = values;
  if (Array.isArray(first) && first.length > 1) return `${first.length} × ${shortened(valueText([first[0]]), 40)}`;
  return shortened(valueText(first), 60);
}

export function recordName(record: TraceRecord): string {
  return record.turn > 0
    ? `${record.title || record.node}, ${words.traces.turn(record.turn)}`
    : record.title || record.node;
}

function spoken(record: TraceRecord, at: number): string {
  const parts = [`${at + 1}. ${words.team.kinds[record.kind]} ${recordName(record)}`];
  if (record.reward !== undefined) parts.push(`${words.traces.reward.toLowerCase()} ${signed(record.reward)}`);
  if (record.legal === false) parts.push(words.traces.illegal);
  if (record.error) parts.push(words.traces.error.toLowerCase());
  return parts.join(', ');
}

export function traceScene(trace: Trace): Scene<TraceCard> {
  const known = new Set(trace.records.map((record) => record.id));
  return {
    cards: trace.records.map((record, place) => ({
      id: record.id,
      width,
      height,
      label: spoken(record, place),
      record,
      place,
      detail: detailOf(record),
    })),
    wires: trace.records.flatMap((record) =>
      record.parents
        .filter((parent) => known.has(parent))
        .map((parent) => ({ id: `${parent}>${record.id}`, from: parent, to: record.id })),
    ),
    places: {},
  };
}

/** A ring's share of the circle for a reward in [-1, 1], and its tone. */
export function ring(reward: number): { share: number; tone: 'good' | 'bad' | 'zero' } {
  const share = Math.min(1, Math.abs(reward));
  return { share, tone: share < 0.005 ? 'zero' : reward > 0 ? 'good' : 'bad' };
}
