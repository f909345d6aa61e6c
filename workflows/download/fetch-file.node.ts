/**
 * Brings one file of known size and checksum into `<path>.part`, going on where an earlier attempt stopped, and gives it its
 * name once the checksum is right. What is wrong is thrown away and fetched once more. More than was announced is refused.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { UserError } from '../../engine/errors.ts';
import type { HubFile } from './hub.ts';
import { ask, Passing, patiently, type Endpoint, type Patience } from './request.node.ts';

const mostCorrupt = 2;

export type Progress = {
  /** Bytes more (or fewer, where some were thrown away). */
  onBytes(count: number): void;
  onWait(reason: string, ms: number): void;
  onChecking(): void;
};

export async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}

export async function fetchFile(
  url: URL,
  file: HubFile,
  path: string,
  endpoint: Endpoint,
  patience: Patience,
  signal: AbortSignal,
  progress: Progress,
): Promise<void> {
  const part = `${path}.part`;
  for (let corrupt = 1; ; corrupt++) {
    let gained = 0;
    const count = (bytes: number): void => {
      gained += bytes;
      progress.onBytes(bytes);
    };
    const work = (both: AbortSignal, alive: () => void): Promise<void> =>
      fetchRest({ url, file, part, endpoint, signal: both, alive, count });
    await patiently(patience, signal, progress.onWait, work, () => {
      const any = gained > 0;
      gained = 0;
      return any;
    });
    progress.onChecking();
    if ((await digestOf(part, file, signal)) === file.digest.hex) break;
    await rm(part, { force: true });
    progress.onBytes(-file.size);
    if (corrupt >= mostCorrupt)
      throw new UserError(
        `${file.path} came ${mostCorrupt} times with a checksum that is not the announced one; try another endpoint`,
      );
  }
  await rename(part, path);
}

type Rest = {
  url: URL;
  file: HubFile;
  part: string;
  endpoint: Endpoint;
  signal: AbortSignal;
  alive: () => void;
  count: (bytes: number) => void;
};

/** From the end of the part to the end of the file. Throws `Passing` where the connection ends early. */
async function fetchRest({ url, file, part, endpoint, signal, alive, count }: Rest): Promise<void> {
  let have = await sizeOf(part);
  const restart = async (): Promise<void> => {
    await rm(part, { force: true });
    count(-have);
    have = 0;
  };
  if (have > file.size) await restart();
  if (have === file.size && have > 0) return;
  if (file.size === 0) return writeEmpty(part);
  const response = await ask(url, endpoint, have > 0 ? { range: `bytes=${have}-` } : {}, signal);
  if (response.status === 416) {
    await response.body?.cancel();
    await restart();
    throw new Passing(`${url.host} refuses to go on with ${file.path}`, 0);
  }
  if (have > 0 && response.status === 200) await restart();
  if (response.status === 206 && startOf(response) !== have) {
    await response.body?.cancel();
    await restart();
    throw new Passing(`${url.host} sent another part of ${file.path} than was asked for`, 0);
  }
  await append(response, { file, part, have, alive, count });
}

function startOf(response: Response): number {
  return Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? Number.NaN);
}

async function append(
  response: Response,
  { file, part, have, alive, count }: Pick<Rest, 'file' | 'part' | 'alive' | 'count'> & { have: number },
): Promise<void> {
  const handle = await open(part, 'a');
  let at = have;
  try {
    for await (const chunk of chunksOf(response)) {
      alive();
      at += chunk.byteLength;
      if (at > file.size)
        throw new UserError(
          `${file.path} goes on beyond the ${file.size} bytes that were announced; try another endpoint`,
        );
      await handle.writeFile(chunk);
      count(chunk.byteLength);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (at < file.size) throw new Passing(`the connection ended at ${at} of ${file.size} bytes of ${file.path}`);
}

/** A connection that breaks in the middle is worth another try. */
async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
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

async function writeEmpty(part: string): Promise<void> {
  await (await open(part, 'w')).close();
}

/** Of the bytes, or of the git blob that they are: "blob <size>\0" and the bytes. */
async function digestOf(path: string, { digest, size }: HubFile, signal: AbortSignal): Promise<string> {
  const hash = createHash(digest.kind === 'git' ? 'sha1' : 'sha256');
  if (digest.kind === 'git') hash.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
