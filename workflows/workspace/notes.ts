/**
 * Notes and tags that people put on traces and records: `notes.jsonl` in the run's folder, one JSON object a line, appended
 * at every change; the last line of a trace or record is the one that holds. Lines that cannot be read are passed over, so
 * that a file edited by hand or cut off in the middle loses one line and not all.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { Note } from '../protocol.ts';
import { paths, textOf } from './layout.ts';
import type { Store } from './store.ts';

const textMax = 10_000;
const tagsMax = 20;
const tagMax = 40;
/** Notes are written by hand: a file beyond this is none of ours. */
const bytesMax = 2 ** 26;

const noteSchema = z.object({
  trace: z.string().min(1).max(1_000),
  record: z.string().max(1_000).optional(),
  text: z.string().max(textMax),
  tags: z.array(z.string().min(1).max(tagMax)).max(tagsMax),
  at: z.string(),
});

export type Notes = { version: string; list: readonly Note[]; tags: ReadonlyMap<string, readonly string[]> };
const none: Notes = { version: '', list: [], tags: new Map() };

const held = new WeakMap<Store, Map<string, Notes>>();

/** Notes of a run, oldest first; read again only where the file has changed. Throws a UserError for one too large. */
export async function readNotes(store: Store, run: string): Promise<Notes> {
  const file = await store.stat(paths.notes(run));
  if (file === null) return none;
  const version = `${file.size} ${file.modifiedMs}`;
  const runs = held.get(store) ?? new Map<string, Notes>();
  held.set(store, runs);
  const known = runs.get(run);
  if (known?.version === version) return known;
  if (file.size > bytesMax)
    throw new UserError(`${paths.notes(run)} is too large to be notes: ${file.size} bytes; move it away`);
  const list = lastOfEach(textOf(await store.read(paths.notes(run))).split('\n'));
  const notes = { version, list, tags: tagsByTrace(list) };
  runs.clear(); // one run's are enough
  runs.set(run, notes);
  return notes;
}

function lastOfEach(lines: readonly string[]): Note[] {
  const last = new Map<string, Note>();
  for (const line of lines) {
    const note = noteOf(line);
    if (note === null) continue;
    const key = JSON.stringify([note.trace, note.record ?? null]);
    last.delete(key);
    if (note.text !== '' || note.tags.length > 0) last.set(key, note);
  }
  return [...last.values()];
}

function noteOf(line: string): Note | null {
  if (line.trim() === '') return null;
  try {
    const parsed = noteSchema.safeParse(JSON.parse(line));
    return parsed.success ? (parsed.data as Note) : null;
  } catch {
    return null;
  }
}

function tagsByTrace(list: readonly Note[]): Map<string, readonly string[]> {
  const tags = new Map<string, readonly string[]>();
  for (const note of list) tags.set(note.trace, [...new Set([...(tags.get(note.trace) ?? []), ...note.tags])]);
  return tags;
}

/** Of a trace and its records. */
export function tagsOf(notes: Notes, trace: string): readonly string[] {
  return notes.tags.get(trace) ?? [];
}

/** Throws a UserError for a note that is too long or has a tag that is none. */
export async function writeNote(store: Store, run: string, note: Omit<Note, 'at'>): Promise<void> {
  const tags = [...new Set(note.tags.map((tag) => tag.trim()).filter((tag) => tag !== ''))];
  const parsed = noteSchema.safeParse({ ...note, text: note.text.trim(), tags, at: new Date().toISOString() });
  if (!parsed.success)
    throw new UserError(
      `Not a note: ${parsed.error.issues[0].path.join('.')}: ${parsed.error.issues[0].message}; write at most ${textMax} characters and ${tagsMax} tags of at most ${tagMax}`,
    );
  await store.append(paths.notes(run), JSON.stringify(parsed.data));
}
