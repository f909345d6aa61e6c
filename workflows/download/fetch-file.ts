/**
 * Brings one file of known size and checksum into `<path>.part`, going on where an earlier attempt stopped, and gives it its
 * name once the checksum is right. What is wrong is thrown away and fetched once more. More than was announced is refused.
 */
import { UserError } from '../../engine/errors.ts';
import type { Store } from '../workspace/store.ts';
import type { Ask, Endpoint } from './ask.ts';
import type { HubFile } from './hub.ts';
import { Passing, patiently, type Patience } from './patience.ts';

const mostCorrupt = 2;
/** So much is written, or read, at once. */
const PIECE = 4 * 1024 * 1024;

export type Hash = { update(bytes: Uint8Array): unknown; hex(): string };

/** Where files come from and go to. */
export type Place = {
  readonly store: Pick<Store, 'extend' | 'move' | 'readRange' | 'remove' | 'stat'>;
  readonly ask: Ask;
  readonly hash: (kind: 'sha1' | 'sha256') => Hash;
};

export type Progress = {
  /** Bytes more (or fewer, where some were thrown away). */
  onBytes(count: number): void;
  onWait(reason: string, ms: number): void;
  onChecking(): void;
};

export async function sizeOf(store: Pick<Store, 'stat'>, path: string): Promise<number> {
  return (await store.stat(path))?.size ?? 0;
}

type Wanted = { readonly url: URL; readonly file: HubFile; readonly path: string; readonly endpoint: Endpoint };
type Manner = { readonly patience: Patience; readonly signal: AbortSignal; readonly progress: Progress };

export async function fetchFile(
  place: Place,
  { url, file, path, endpoint }: Wanted,
  { patience, signal, progress }: Manner,
): Promise<void> {
  const part = `${path}.part`;
  for (let corrupt = 1; ; corrupt++) {
    let gained = 0;
    const count = (bytes: number): void => {
      gained += bytes;
      progress.onBytes(bytes);
    };
    const work = (both: AbortSignal, alive: () => void): Promise<void> =>
      fetchRest({ place, url, file, part, endpoint, signal: both, alive, count });
    await patiently(patience, signal, progress.onWait, work, () => {
      const any = gained > 0;
      gained = 0;
      return any;
    });
    progress.onChecking();
    if ((await digestOf(place, part, file, signal)) === file.digest.hex) break;
    await place.store.remove(part);
    progress.onBytes(-file.size);
    if (corrupt >= mostCorrupt)
      throw new UserError(
        `${file.path} came ${mostCorrupt} times with a checksum that is not the announced one; try another endpoint`,
      );
  }
  await place.store.move(part, path);
}

type Rest = Omit<Wanted, 'path'> & {
  place: Place;
  part: string;
  signal: AbortSignal;
  alive: () => void;
  count: (bytes: number) => void;
};

/** From the end of the part to the end of the file. Throws `Passing` where the connection ends early. */
async function fetchRest({ place, url, file, part, endpoint, signal, alive, count }: Rest): Promise<void> {
  const { store, ask } = place;
  let have = await sizeOf(store, part);
  const restart = async (): Promise<void> => {
    await store.remove(part);
    count(-have);
    have = 0;
  };
  if (have > file.size) await restart();
  if (have === file.size && have > 0) return;
  if (file.size === 0) return store.extend(part, new Uint8Array(0));
  const response = await ask(url, endpoint, have > 0 ? { range: `bytes=${have}-` } : {}, signal);
  if (response.status === 416) {
    await response.body?.cancel();
    await restart();
    throw new Passing(`${url.host} refuses to go on with ${file.path}`, 0);
  }
  if (have > 0 && response.status === 200) await restart();
  if (response.status === 206 && startOf(response, file) !== have) {
    await response.body?.cancel();
    await restart();
    throw new Passing(`${url.host} sent another part of ${file.path} than was asked for`, 0);
  }
  await append(response, { store, file, part, have, alive, count });
}

/** Where a part begins: as said, or by its length where a page may not read that. */
function startOf(response: Response, { size }: HubFile): number {
  const said = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
  return said === undefined ? size - Number(response.headers.get('content-length') ?? Number.NaN) : Number(said);
}

type Appending = Pick<Rest, 'file' | 'part' | 'alive' | 'count'> & { store: Place['store']; have: number };

/** Written piece by piece, and at the end, whatever ends it, so that nothing that came has to come again. */
async function append(response: Response, { store, file, part, have, alive, count }: Appending): Promise<void> {
  let at = have;
  const piece = pieceOf(PIECE, (bytes) => store.extend(part, bytes));
  try {
    for await (const chunk of chunksOf(response)) {
      alive();
      at += chunk.byteLength;
      if (at > file.size)
        throw new UserError(
          `${file.path} goes on beyond the ${file.size} bytes that were announced; try another endpoint`,
        );
      await piece.add(chunk);
      count(chunk.byteLength);
    }
  } finally {
    await piece.flush();
  }
  if (at < file.size) throw new Passing(`the connection ended at ${at} of ${file.size} bytes of ${file.path}`);
}

/** Gathers chunks until there is enough of them to be worth a write. */
function pieceOf(enough: number, write: (bytes: Uint8Array) => Promise<void>) {
  let chunks: Uint8Array[] = [];
  let size = 0;
  const flush = async (): Promise<void> => {
    if (size === 0) return;
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.byteLength;
    }
    chunks = [];
    size = 0;
    await write(bytes);
  };
  return {
    add: async (chunk: Uint8Array): Promise<void> => {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size >= enough) await flush();
    },
    flush,
  };
}

/** A connection that breaks in the middle is worth another try. */
export async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = (response.body ?? new Blob([]).stream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw new Passing(`the connection broke: ${error instanceof Error ? error.message : String(error)}`);
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Of the bytes, or of the git blob that they are: "blob <size>\0" and the bytes. */
async function digestOf(
  { store, hash }: Place,
  path: string,
  { digest, size }: HubFile,
  signal: AbortSignal,
): Promise<string> {
  const sum = hash(digest.kind === 'git' ? 'sha1' : 'sha256');
  if (digest.kind === 'git') sum.update(new TextEncoder().encode(`blob ${size}\0`));
  for (let at = 0; at < size; at += PIECE) {
    signal.throwIfAborted();
    sum.update(await store.readRange(path, at, Math.min(PIECE, size - at)));
  }
  return sum.hex();
}
