/**
 * Memory of intermediate results. Each is named with the first and the last step that needs it; those that never live at
 * the same time share a buffer. All sizes are known before anything is allocated.
 */

export type Lifetime = {
  readonly name: string;
  readonly bytes: number;
  /** Steps, both included. */
  readonly first: number;
  readonly last: number;
};

export type Arena = {
  /** Size of each buffer. */
  readonly sizes: readonly number[];
  /** Buffer of each name. */
  readonly places: ReadonlyMap<string, number>;
  readonly bytes: number;
};

/** Largest first, each into the first buffer that is free for its whole life. */
export function layOut(lifetimes: readonly Lifetime[]): Arena {
  const buffers: { bytes: number; readonly tenants: Lifetime[] }[] = [];
  const places = new Map<string, number>();
  for (const one of [...lifetimes].sort((a, b) => b.bytes - a.bytes)) {
    let place = buffers.findIndex(({ tenants }) => tenants.every((t) => t.last < one.first || one.last < t.first));
    if (place < 0) place = buffers.push({ bytes: one.bytes, tenants: [] }) - 1;
    buffers[place].tenants.push(one);
    places.set(one.name, place);
  }
  const sizes = buffers.map(({ bytes }) => bytes);
  return { sizes, places, bytes: sizes.reduce((a, b) => a + b, 0) };
}
