/** A trace as a scene: one card for each executed record, unrolled by turn, wires from the records whose values it read. */
import type { AssignedReward, Trace, TraceRecord } from '../../workflows/schema/trace.ts';
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

/** A record as it is read aloud. */
export function spoken(record: TraceRecord, at: number): string {
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

/** The record at a place, or the last one before it that has tokens. */
export function lastSpoken(records: readonly TraceRecord[], at: number): TraceRecord | undefined {
  return records.slice(0, at + 1).findLast(({ tokens }) => tokens !== undefined && tokens.ids.length > 0);
}

/** More cards than this at once are neither read nor drawn in time. */
export const CARDS_MAX = 100;
/** Places of the cards shown around the one at hand: all where they are few. A step moves on by one card, for which a frame has room. */
export function shownAround(total: number, at: number): { from: number; to: number } {
  if (total <= CARDS_MAX) return { from: 0, to: total };
  const from = Math.max(0, Math.min(total - CARDS_MAX, at - CARDS_MAX / 2));
  return { from, to: from + CARDS_MAX };
}

/** Parts of a long scene by their places, with the wires inside them; a short one is its own only part. */
export function partsOf(scene: Scene<TraceCard>): (part: { from: number; to: number }) => Scene<TraceCard> {
  if (scene.cards.length <= CARDS_MAX) return () => scene;
  // Places are the same whichever part is shown, so that what stays in view does not move.
  const places = inOrder(scene.cards);
  return ({ from, to }) => {
    const cards = scene.cards.filter(({ place }) => place >= from && place < to);
    const known = new Set(cards.map(({ id }) => id));
    return { cards, wires: scene.wires.filter((wire) => known.has(wire.from) && known.has(wire.to)), places };
  };
}

/** Left to right in the order they ran, a row for each role, for tools and for the rest. */
function inOrder(cards: readonly TraceCard[]): Record<string, { x: number; y: number }> {
  const rowOfCard = cards.map(rowOf);
  const rows = new Map([...new Set(rowOfCard)].sort().map((row, at) => [row, at]));
  return Object.fromEntries(
    cards.map(({ id, place }, at) => [id, { x: place * (width + 38), y: rows.get(rowOfCard[at])! * (height + 40) }]),
  );
}

const rowOf = ({ record }: TraceCard): string => (record.role === undefined ? `2 ${record.kind}` : `1 ${record.role}`);

export type Ring = { readonly share: number; readonly tone: 'good' | 'bad' | 'zero' };

/** A ring's share of the circle for a reward in [-1, 1], and its tone. */
export function ring(reward: number): Ring {
  const share = Math.min(1, Math.abs(reward));
  return { share, tone: share < 0.005 ? 'zero' : reward > 0 ? 'good' : 'bad' };
}

export type LevelRing = Ring & { readonly level: AssignedReward['level']; readonly reward: number };

/** Rings of a record from the outside in: what it got for the whole trajectory, for its turn, and as a role. */
export function levelRings({ rewards, reward }: Pick<TraceRecord, 'rewards' | 'reward'>): LevelRing[] {
  const found = (['trajectory', 'turn', 'role'] as const).flatMap((level) => {
    const own = rewards.filter((one) => one.level === level);
    const sum = own.reduce((total, { value }) => total + value, 0);
    return own.length === 0 ? [] : [{ level, reward: sum, ...ring(sum) }];
  });
  if (found.length > 0 || reward === undefined) return found;
  return [{ level: 'trajectory', reward, ...ring(reward) }];
}
