/**
 * The difference between two JSON documents as a short list of changes, and the way from one to the other. Edits leave most
 * of a document the same object, so whole branches are skipped at a glance; what a list gained or lost is one change.
 */
export type Change =
  | { readonly path: readonly (string | number)[]; readonly value?: unknown }
  | {
      readonly path: readonly (string | number)[];
      readonly at: number;
      readonly cut: number;
      readonly put: readonly unknown[];
    };

type Plain = Readonly<Record<string, unknown>>;

function isPlain(value: unknown): value is Plain {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** What turns `before` into `after`; empty when they say the same. */
export function diff(before: unknown, after: unknown, path: readonly (string | number)[] = []): Change[] {
  if (before === after) return [];
  if (Array.isArray(before) && Array.isArray(after)) return diffLists(before, after, path);
  if (!isPlain(before) || !isPlain(after)) return same(before, after) ? [] : [{ path, value: after }];
  // The order of keys is the order of roles on the screen: a changed order is told whole.
  const [old, now] = [Object.keys(before), Object.keys(after).filter((key) => after[key] !== undefined)];
  const kept = old.filter((key) => now.includes(key));
  const inOrder = kept.every((key, at) => now[at] === key);
  if (!inOrder) return [{ path, value: after }];
  return [
    ...old.filter((key) => !now.includes(key) && before[key] !== undefined).map((key) => ({ path: [...path, key] })),
    ...now.flatMap((key) =>
      Object.hasOwn(before, key)
        ? diff(before[key], after[key], [...path, key])
        : [{ path: [...path, key], value: after[key] }],
    ),
  ];
}

function diffLists(
  before: readonly unknown[],
  after: readonly unknown[],
  path: readonly (string | number)[],
): Change[] {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && same(before[start], after[start])) start++;
  let end = 0;
  while (end < shorter - start && same(before[before.length - 1 - end], after[after.length - 1 - end])) end++;
  const [cut, put] = [before.length - start - end, after.slice(start, after.length - end)];
  if (cut === 0 && put.length === 0) return [];
  if (cut === put.length) return put.flatMap((item, at) => diff(before[start + at], item, [...path, start + at]));
  return [{ path, at: start, cut, put }];
}

/** Throws a TypeError where a change does not fit the document. */
export function patched<T>(document: T, changes: readonly Change[]): T {
  return changes.reduce<unknown>((value, change) => applied(value, change, 0), document) as T;
}

function applied(value: unknown, change: Change, depth: number): unknown {
  if (depth === change.path.length) {
    if (!('at' in change)) return change.value;
    if (!Array.isArray(value)) throw new TypeError(`No list at ${change.path.join('.')}`);
    return [...value.slice(0, change.at), ...change.put, ...value.slice(change.at + change.cut)];
  }
  const key = change.path[depth];
  if (Array.isArray(value) && typeof key === 'number')
    return value.map((item: unknown, at) => (at === key ? applied(item, change, depth + 1) : item));
  if (!isPlain(value)) throw new TypeError(`No place ${change.path.join('.')}`);
  if (depth === change.path.length - 1 && !('at' in change) && change.value === undefined)
    return Object.fromEntries(Object.entries(value).filter(([name]) => name !== String(key)));
  // Own keys only: one may be called __proto__, which in brackets is a name like any other.
  const old = Object.hasOwn(value, key) ? value[key] : undefined;
  return { ...value, [key]: applied(old, change, depth + 1) };
}
