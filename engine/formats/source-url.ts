/**
 * Files behind a URL. Where the server answers ranges only what is asked for is fetched; where it does not, the whole
 * file is, up to a bound. A server that falls silent, changes the file in between or sends more than it said ends in a
 * UserError, never in a hang.
 */
import { UserError } from '../errors.ts';
import { checkRange, fromBytes, type ByteSource } from './bytes-source.ts';

/** The first request asks for this much: small files then need no second one. */
const FIRST_BYTES = 4 * 2 ** 20;
/** Without ranges the file is held in memory whole. */
const WHOLE_MAX_BYTES = 2 ** 30;
const SILENCE_MS = 30_000;

export async function openUrl(name: string, url: string): Promise<ByteSource> {
  const first = await request(name, url, 0, FIRST_BYTES);
  if (!first.ranged || first.bytes.byteLength === first.total) return fromBytes(name, first.bytes);
  const { total, bytes: head } = first;
  return {
    name,
    size: total,
    async read(offset, length) {
      checkRange(name, total, offset, length);
      if (offset + length <= head.byteLength) return head.subarray(offset, offset + length);
      if (length === 0) return new Uint8Array(0);
      const part = await request(name, url, offset, length);
      if (!part.ranged || part.total !== total || part.bytes.byteLength !== length) {
        throw new UserError(`${name} changed on its server while it was read: ${url}; load it again`);
      }
      return part.bytes;
    },
  };
}

type Answer = { readonly ranged: boolean; readonly total: number; readonly bytes: Uint8Array };

/** One request for `length` bytes at `offset`; the server may answer with the whole file instead. */
async function request(name: string, url: string, offset: number, length: number): Promise<Answer> {
  const patience = new AbortController();
  let timer = setTimeout(() => patience.abort(), SILENCE_MS);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => patience.abort(), SILENCE_MS);
  };
  try {
    const response = await fetch(url, {
      headers: { Range: `bytes=${offset}-${offset + length - 1}` },
      signal: patience.signal,
    });
    heard();
    if (response.status === 206) return await rangedAnswer(name, url, response, offset, length, heard);
    if (response.status === 416 && offset === 0) return { ranged: false, total: 0, bytes: new Uint8Array(0) };
    if (!response.ok)
      throw new UserError(`${name} could not be fetched: the server answered ${response.status} for ${url}`);
    const bytes = await collect(name, response, WHOLE_MAX_BYTES, heard);
    return { ranged: false, total: bytes.byteLength, bytes };
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (patience.signal.aborted)
      throw new UserError(
        `${name} could not be fetched: ${url} sent nothing for ${SILENCE_MS / 1000} seconds; try again`,
      );
    throw new UserError(`${name} could not be fetched from ${url}; check the address and the connection`);
  } finally {
    clearTimeout(timer);
    patience.abort();
  }
}

async function rangedAnswer(
  name: string,
  url: string,
  response: Response,
  offset: number,
  length: number,
  heard: () => void,
): Promise<Answer> {
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  const [start, end, total] = range ? range.slice(1).map(Number) : [NaN, NaN, NaN];
  const bytes = await collect(name, response, length, heard);
  const sound = start === offset && Number.isSafeInteger(total) && end < total && bytes.byteLength === end - start + 1;
  if (!sound)
    throw new UserError(
      `${name} could not be fetched: the server's ranges are inconsistent for ${url}; download the file and open it from disk`,
    );
  return { ranged: true, total, bytes };
}

/** Reads a body to its end; memory grows with what arrives, never with what a header promises. */
async function collect(name: string, response: Response, maxBytes: number, heard: () => void): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (part === undefined || part.done) break;
    heard();
    size += part.value.byteLength;
    if (size > maxBytes) {
      await reader?.cancel();
      throw new UserError(
        `${name} is larger than ${maxBytes} bytes and its server sends it only whole; download it and open it from disk`,
      );
    }
    chunks.push(part.value);
  }
  if (chunks.length === 1) return chunks[0];
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
