/**
 * What outlives a reload and belongs to this person on this machine: theme, chosen cast, unsaved edits. A broken or
 * foreign entry reads as nothing; a full or forbidden storage loses the memory, never the screen.
 */
const prefix = 'troupe.';

export type Memory = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

export function recall<T>(
  key: string,
  accept: (value: unknown) => value is T,
  memory: Memory = localStorage,
): T | null {
  try {
    const text = memory.getItem(prefix + key);
    if (text === null) return null;
    const value: unknown = JSON.parse(text);
    return accept(value) ? value : null;
  } catch {
    return null;
  }
}

export function remember(key: string, value: unknown, memory: Memory = localStorage): void {
  try {
    if (value === null || value === undefined) memory.removeItem(prefix + key);
    else memory.setItem(prefix + key, JSON.stringify(value));
  } catch {
    // A private window may refuse storage; the screen goes on without memory.
  }
}

export function isText(value: unknown): value is string {
  return typeof value === 'string';
}
