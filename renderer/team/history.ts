/**
 * One undo stack over immutable documents: every state in order, and which of them is shown. Edits of one kind in quick
 * succession, such as typing, are one step. States keep their number when the oldest are forgotten.
 */
export type History<T> = {
  readonly states: readonly T[];
  /** Number of the first state that is kept; states[i] has the number first + i. */
  readonly first: number;
  readonly shown: number;
  readonly kind: string;
  readonly at: number;
};

const JOIN_MS = 900;
const DEPTH = 400;
/** Forgotten in one go, so that the journal is rarely written anew. */
const SLACK = 100;

export function begin<T>(present: T): History<T> {
  return { states: [present], first: 0, shown: 0, kind: '', at: 0 };
}

export function present<T>(history: History<T>): T {
  return history.states[history.shown - history.first];
}

/** `kind` names what is edited ("prompt of answerer"); an empty kind never joins. */
export function edit<T>(history: History<T>, next: T, kind: string, now: number): History<T> {
  if (next === present(history)) return history;
  const joins = kind !== '' && kind === history.kind && now - history.at < JOIN_MS && canUndo(history);
  const kept = history.states.slice(0, history.shown - history.first + (joins ? 0 : 1));
  const states = [...kept, next];
  const forgotten = states.length > DEPTH + SLACK ? SLACK : 0;
  const first = history.first + forgotten;
  return { states: states.slice(forgotten), first, shown: first + states.length - forgotten - 1, kind, at: now };
}

export function canUndo<T>(history: History<T>): boolean {
  return history.shown > history.first;
}

export function canRedo<T>(history: History<T>): boolean {
  return history.shown < history.first + history.states.length - 1;
}

export function undo<T>(history: History<T>): History<T> {
  return canUndo(history) ? { ...history, shown: history.shown - 1, kind: '', at: 0 } : history;
}

export function redo<T>(history: History<T>): History<T> {
  return canRedo(history) ? { ...history, shown: history.shown + 1, kind: '', at: 0 } : history;
}
