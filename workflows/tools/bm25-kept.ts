/**
 * One index for each corpus: made at its first search, or, for a large corpus, read from the workspace, where it is kept
 * under the hash of what it was made of. A file that is damaged counts as none and is written anew.
 */
import { UserError } from '../../engine/errors.ts';
import { openSafetensors, readInts } from '../../engine/formats/safetensors.ts';
import { writeSafetensors } from '../../engine/formats/safetensors-write.ts';
import type { Passage } from '../schema/value.ts';
import { paths } from '../workspace/layout.ts';
import type { Store } from '../workspace/store.ts';
import { buildIndex, type Bm25Index } from './bm25-index.ts';

/** Smaller corpora are indexed sooner than a file is read. */
const keptFrom = 5_000;
/** Most bytes of one file, and most files. */
const maxBytes = 2 ** 30;
const maxFiles = 8;
/** Of what a file holds and how words are cut; another number finds no file of before. */
const format = 'troupe bm25 1';

const indexes = new WeakMap<readonly Passage[], Bm25Index>();

export function indexOf(corpus: readonly Passage[]): Bm25Index {
  let index = indexes.get(corpus);
  if (index === undefined) {
    index = buildIndex(corpus);
    indexes.set(corpus, index);
  }
  return index;
}

/** Makes the index of a large corpus ready before its first search: from the workspace, or made and put there. */
export async function keepIndex(store: Store, corpus: readonly Passage[] | null): Promise<void> {
  if (corpus === null || corpus.length < keptFrom || indexes.has(corpus)) return;
  const name = `${await hashOf(corpus)}.safetensors`;
  const file = `${paths.indexes()}/${name}`;
  const found = await readIndex(store, file, corpus.length);
  if (found !== null) {
    indexes.set(corpus, found);
    return;
  }
  const bytes = indexBytes(indexOf(corpus));
  if (bytes.length > maxBytes) return;
  await prune(store, name);
  await store.write(file, bytes);
}

/** SHA-256 of the hashes of every thousand passages, so that a large corpus is never held twice. */
async function hashOf(corpus: readonly Passage[]): Promise<string> {
  const parts: Uint8Array[] = [new TextEncoder().encode(format)];
  for (let at = 0; at < corpus.length; at += 1_000) {
    const text = JSON.stringify(corpus.slice(at, at + 1_000).map(({ title, text }) => [title, text]));
    parts.push(await sha256(new TextEncoder().encode(text)));
  }
  const whole = await sha256(new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer()));
  return [...whole].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}

function indexBytes({ words, lengths, starts, documents, counts }: Bm25Index): Uint8Array {
  // No word holds a space, so spaces join them and fill the last number.
  const text = new TextEncoder().encode([...words.keys()].join(' '));
  const padded = new Uint8Array(Math.ceil(text.length / 4) * 4).fill(0x20);
  padded.set(text);
  const ints = { lengths, starts, documents, counts, words: new Int32Array(padded.buffer) };
  const tensors = Object.entries(ints).map(([name, data]) => ({ name, shape: [data.length], data }));
  return writeSafetensors(tensors, 'F32', { format });
}

/** Null where there is no file, or none that is whole and fits. */
export async function readIndex(store: Store, file: string, documents: number): Promise<Bm25Index | null> {
  const size = (await store.stat(file))?.size;
  if (size === undefined || size > maxBytes) return null;
  try {
    const source = { name: file, size, read: (at: number, length: number) => store.readRange(file, at, length) };
    const opened = await openSafetensors(source);
    const ints = async (name: string) => Int32Array.from(await readInts(opened, name));
    const words = new TextDecoder()
      .decode(await ints('words'))
      .trimEnd()
      .split(' ');
    const index = {
      words: new Map(words.map((word, i) => [word, i])),
      lengths: await ints('lengths'),
      starts: await ints('starts'),
      documents: await ints('documents'),
      counts: await ints('counts'),
    };
    return fits(index, documents) ? index : null;
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

/** Whether a search would stay inside the arrays. */
function fits({ words, lengths, starts, documents, counts }: Bm25Index, expected: number): boolean {
  if (lengths.length !== expected || starts.length !== words.size + 1 || counts.length !== documents.length)
    return false;
  if (starts[0] !== 0 || starts[starts.length - 1] !== documents.length) return false;
  for (let i = 1; i < starts.length; i += 1) if (starts[i] < starts[i - 1]) return false;
  return documents.every((document) => document >= 0 && document < expected) && counts.every((count) => count > 0);
}

/** Makes room for one more; the oldest go. */
async function prune(store: Store, coming: string): Promise<void> {
  const files = (await store.list(paths.indexes())).filter((name) => name !== coming);
  const aged = await Promise.all(
    files.map(async (name) => ({ name, at: (await store.stat(`${paths.indexes()}/${name}`))?.modifiedMs ?? 0 })),
  );
  aged.sort((a, c) => c.at - a.at);
  for (const { name } of aged.slice(maxFiles - 1)) await store.remove(`${paths.indexes()}/${name}`);
}
