/** Notes on the canvas: remarks for people, which nothing that runs ever reads. */
import type { CanvasNote, Workflow } from '../../workflows/schema/workflow.ts';
import type { Point } from '../graph/scene.ts';
import { freeName } from './names.ts';

const SIZE = { width: 200, height: 90 };

/** Adds an empty note whose middle is at a point; null where there are as many as a team may have. */
export function addNote(workflow: Workflow, at: Point): { workflow: Workflow; id: string } | null {
  const notes = workflow.notes ?? [];
  if (notes.length >= 100) return null;
  const id = freeName(
    'note',
    notes.map((note) => note.id),
  );
  const note: CanvasNote = {
    id,
    text: '',
    x: Math.round(at.x - SIZE.width / 2),
    y: Math.round(at.y - SIZE.height / 2),
    ...SIZE,
  };
  return { workflow: { ...workflow, notes: [...notes, note] }, id };
}

/** Changes a note; sizes stay within what the format takes. */
export function setNote(workflow: Workflow, id: string, change: Partial<Omit<CanvasNote, 'id'>>): Workflow {
  const within = (value: number, least: number): number => Math.round(Math.min(2_000, Math.max(least, value)));
  const notes = (workflow.notes ?? []).map((note) => {
    if (note.id !== id) return note;
    const next = { ...note, ...change };
    return {
      ...next,
      text: next.text.slice(0, 4_000),
      x: Math.round(next.x),
      y: Math.round(next.y),
      width: within(next.width, 60),
      height: within(next.height, 40),
    };
  });
  return { ...workflow, notes };
}

export function removeNote(workflow: Workflow, id: string): Workflow {
  const { notes: before, ...rest } = workflow;
  const notes = (before ?? []).filter((note) => note.id !== id);
  return notes.length > 0 ? { ...rest, notes } : rest;
}
