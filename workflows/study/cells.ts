/**
 * What a study remembers of its cells beside their runs: the request each was begun with, so that a changed file never mixes
 * two experiments, the most memory it took, and why it failed where it did.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { jsonBytes, parseAs, paths } from '../workspace/layout.ts';
import type { Store } from '../workspace/store.ts';
import type { Cell } from './plan.ts';

const noteSchema = z.object({
  request: z.string(),
  /** The engine's high-water mark while the cell ran, over all its parts. */
  peakBytes: z.number().default(0),
  error: z.string().optional(),
});
const notesSchema = z.record(z.string(), noteSchema);

export type CellNotes = z.infer<typeof notesSchema>;

export async function readNotes(store: Store, study: string): Promise<CellNotes> {
  const file = paths.studyCells(study);
  if ((await store.stat(file)) === null) return {};
  return parseAs(notesSchema, await store.read(file), file);
}

export async function writeNotes(store: Store, study: string, notes: CellNotes): Promise<void> {
  await store.write(paths.studyCells(study), jsonBytes(notes));
}

/** Throws a UserError for a run of the cell's name that another request made. */
export async function checkSame(store: Store, cells: readonly Cell[], notes: CellNotes): Promise<void> {
  for (const { id, request } of cells) {
    if ((await store.stat(paths.config(id))) === null) continue;
    if (notes[id]?.request !== JSON.stringify(request))
      throw new UserError(
        `The run ${id} was made with other settings than the study now has; give the study another name, or remove that run`,
      );
  }
}
