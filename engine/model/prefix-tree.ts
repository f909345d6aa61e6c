/**
 * Beginnings of prompts that were computed before, found by their tokens. A node stands for a stretch of positions and goes
 * on from its parent at or before the parent's end, so a stretch is kept once however many prompts go through it and no
 * node is ever cut. What is kept of a stretch is its owner's affair; whatever was used longest ago goes first.
 */

type Node<T> = {
  readonly parent: Node<T> | null;
  /** Position of the first of its tokens. */
  readonly start: number;
  readonly ids: Int32Array;
  readonly kept: T;
  readonly bytes: number;
  readonly children: Node<T>[];
  used: number;
};

/** What is kept of positions `first` … `first + count - 1`; its own first position is `start`. */
export type Piece<T> = { readonly kept: T; readonly start: number; readonly first: number; readonly count: number };

/** Positions of a prompt that are known, and where. */
export type Known<T> = { readonly length: number; readonly pieces: readonly Piece<T>[] };

export class PrefixTree<T> {
  readonly #roots: Node<T>[] = [];
  #time = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The longest beginning of `prompt` that is known; everything on the way counts as used. */
  find(prompt: Int32Array): Known<T> {
    const path = this.#path(prompt);
    for (const { node } of path) node.used = ++this.#time;
    const pieces = path.map(({ node, reached }, i): Piece<T> => {
      const end = path[i + 1]?.node.start ?? reached;
      return { kept: node.kept, start: node.start, first: node.start, count: end - node.start };
    });
    return { length: path.at(-1)?.reached ?? 0, pieces };
  }

  /** Keeps what follows the known beginning of `prompt`. */
  add(prompt: Int32Array, kept: T, bytes: number): void {
    const last = this.#path(prompt).at(-1);
    const start = last?.reached ?? 0;
    const node: Node<T> = {
      ...{ parent: last?.node ?? null, start, ids: prompt.slice(start), kept, bytes, children: [] },
      used: ++this.#time,
    };
    (last?.node.children ?? this.#roots).push(node);
    this.#bytes += bytes;
  }

  /** Takes out what was used longest ago and nothing goes on from, but nothing on the way to `prompt`; null where there is none. */
  drop(prompt: Int32Array): T | null {
    const spared = new Set(this.#path(prompt).map(({ node }) => node));
    const leaves = [...this.#all()].filter((node) => node.children.length === 0 && !spared.has(node));
    if (leaves.length === 0) return null;
    const oldest = leaves.reduce((a, b) => (b.used < a.used ? b : a));
    const among = oldest.parent?.children ?? this.#roots;
    among.splice(among.indexOf(oldest), 1);
    this.#bytes -= oldest.bytes;
    return oldest.kept;
  }

  /** Everything that is kept. */
  *kept(): Iterable<T> {
    for (const node of this.#all()) yield node.kept;
  }

  *#all(among: readonly Node<T>[] = this.#roots): Iterable<Node<T>> {
    for (const node of among) {
      yield node;
      yield* this.#all(node.children);
    }
  }

  /** Nodes from a root on, each with the position up to which the prompt follows it. */
  #path(prompt: Int32Array): { readonly node: Node<T>; readonly reached: number }[] {
    const path: { node: Node<T>; reached: number }[] = [];
    let [among, at] = [this.#roots, 0];
    for (;;) {
      const next = longest(among, prompt, at);
      if (!next) return path;
      path.push(next);
      [among, at] = [next.node.children, next.reached];
    }
  }
}

/** Of nodes that begin at or before `at`, the one that the prompt follows farthest beyond it. */
function longest<T>(
  among: readonly Node<T>[],
  prompt: Int32Array,
  at: number,
): { node: Node<T>; reached: number } | null {
  let best: { node: Node<T>; reached: number } | null = null;
  for (const node of among) {
    if (node.start > at) continue;
    let reached = node.start;
    const end = Math.min(prompt.length, node.start + node.ids.length);
    while (reached < end && node.ids[reached - node.start] === prompt[reached]) reached++;
    if (reached > (best?.reached ?? at)) best = { node, reached };
  }
  return best;
}
