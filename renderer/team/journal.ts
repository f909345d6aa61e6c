/**
 * The journal of one team: its undo stack as it lies in the browser's database, so that a page killed at any moment comes
 * back with every step. A base state, one small patch for each step after it, and which state was shown. This module says
 * what to write and how to read it back; `journal-db.ts` does the writing.
 */
import { z } from 'zod';
import { pinnedSchema } from '../../workflows/run/pinned.ts';
import { castSchema } from '../../workflows/schema/cast.ts';
import { tooDeep } from '../../workflows/schema/migrate.ts';
import { idSchema, nodeSchema, subWorkflowSchema, workflowSchema } from '../../workflows/schema/workflow.ts';
import type { History } from './history.ts';
import { diff, patched, type Change } from './patch.ts';
import type { Team } from './team.ts';

/** A row's name within its team: `base`, `shown`, `saved`, or the number of a step. */
export type RowKey = string | number;
export type Row = { readonly key: RowKey; readonly value: unknown };
/** `cut`: steps from this number on are gone; `drop`: steps up to this number are gone. */
export type Writes = { readonly put: readonly Row[]; readonly cut?: number; readonly drop?: number };

type Base = { readonly first: number; readonly team: Team };

/** What is drawn may be less than a workflow: an empty canvas, one lone node; so in a group. */
const drawnNodes = { nodes: z.array(nodeSchema).max(500) };
const drawnSchema = z.object({
  workflow: workflowSchema.extend({
    ...drawnNodes,
    workflows: z.record(idSchema, subWorkflowSchema.extend(drawnNodes)).optional(),
  }),
  cast: castSchema,
  pins: pinnedSchema.optional(),
});

function isTeam(value: unknown): value is Team {
  return !tooDeep(value) && drawnSchema.safeParse(value).success;
}

/** What must be written after an edit, undo or redo; `before` is what the journal holds already. */
export function writesFor(before: History<Team> | null, after: History<Team>): Writes {
  const shown: Row = { key: 'shown', value: after.shown };
  if (!before || after.first > before.first + before.states.length) return whole(after);
  const offset = after.first - before.first;
  let known = 0;
  while (known < after.states.length && before.states[known + offset] === after.states[known]) known++;
  if (known === 0) return whole(after);
  const put = after.states
    .slice(known)
    .map((state, at): Row => ({ key: after.first + known + at, value: diff(after.states[known + at - 1], state) }));
  const shortened = before.first + before.states.length > after.first + known;
  return {
    put: [...(offset > 0 ? [base(after)] : []), ...put, shown],
    ...(shortened ? { cut: after.first + after.states.length } : {}),
    ...(offset > 0 ? { drop: after.first } : {}),
  };
}

function base(history: History<Team>): Row {
  return { key: 'base', value: { first: history.first, team: history.states[0] } satisfies Base };
}

/** The whole journal of a history, in place of what there was. */
function whole(history: History<Team>): Writes {
  const steps = history.states
    .slice(1)
    .map((state, at): Row => ({ key: history.first + at + 1, value: diff(history.states[at], state) }));
  return {
    put: [base(history), ...steps, { key: 'shown', value: history.shown }],
    cut: history.first + history.states.length,
    drop: history.first,
  };
}

/** Reads a journal back; null when there is none or nothing of it can be used. What follows a damaged step is left out. */
export function historyOf(rows: readonly Row[]): History<Team> | null {
  const byKey = new Map(rows.map((row) => [row.key, row.value]));
  const start = byKey.get('base') as Base | undefined;
  if (!start || !Number.isInteger(start.first) || !isTeam(start.team)) return null;
  const states: Team[] = [start.team];
  for (let number = start.first + 1; byKey.has(number); number++) {
    const next = replayed(states[states.length - 1], byKey.get(number));
    if (!next) break;
    states.push(next);
  }
  const last = start.first + states.length - 1;
  const shown = byKey.get('shown');
  const at = typeof shown === 'number' && Number.isInteger(shown) ? Math.min(last, Math.max(start.first, shown)) : last;
  const usable = states.findLastIndex((state, place) => place <= at - start.first && isTeam(state));
  return { states, first: start.first, shown: start.first + usable, kind: '', at: 0 };
}

function replayed(state: Team, changes: unknown): Team | null {
  if (!Array.isArray(changes)) return null;
  try {
    return patched(state, changes as Change[]);
  } catch {
    return null;
  }
}
