/** One undo stack over immutable documents. Edits of one kind in quick succession, such as typing, are one step. */
export type History<T> = {
  readonly past: readonly T[];
  readonly present: T;
  readonly future: readonly T[];
  readonly kind: string;
  readonly at: number;
};

const JOIN_MS = 900;
const DEPTH = 200;

export function begin<T>(present: T): History<T> {
  return { past: [], present, future: [], kind: '', at: 0 };
}

/** `kind` names what is edited ("prompt of answerer"); an empty kind never joins. */
export function edit<T>(history: History<T>, present: T, kind: string, now: number): History<T> {
  if (present === history.present) return history;
  const joins = kind !== '' && kind === history.kind && now - history.at < JOIN_MS;
  const past = joins ? history.past : [...history.past, history.present].slice(-DEPTH);
  return { past, present, future: [], kind, at: now };
}

export function undo<T>(history: History<T>): History<T> {
  const before = history.past.at(-1);
  if (before === undefined) return history;
  return {
    past: history.past.slice(0, -1),
    present: before,
    future: [history.present, ...history.future],
    kind: '',
    at: 0,
  };
}

export function redo<T>(history: History<T>): History<T> {
  const [next, ...future] = history.future;
  if (next === undefined) return history;
  return { past: [...history.past, history.present], present: next, future, kind: '', at: 0 };
}
