/**
 * For tests: damages files as crashes, careless hands and strangers do, from a seed, so that every damaged file can be made
 * again. Half of the damage is done to bytes, half to the JSON inside. Knows no file format of ours.
 */
import { bytesOf, textOf } from './layout.ts';

/** Mulberry32: numbers in [0, 1) from a seed. */
export function numbersFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Next = () => number;
const below = (next: Next, limit: number): number => Math.floor(next() * limit);
const oneOf = <T>(next: Next, choices: readonly T[]): T => choices[below(next, choices.length)];

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

/** What stands where something else belongs. */
const strangers: readonly unknown[] = [
  null,
  true,
  -1,
  1e308,
  0.5,
  2 ** 53,
  '',
  '../../../etc/passwd',
  '/etc/passwd',
  'C:\\Windows\\system.ini',
  'constructor',
  '__proto__',
  '\u0000\u202e{{question}}',
  '<img src=x onerror=alert(1)>',
  'x'.repeat(200_000),
  [],
  {},
  Array.from({ length: 20_000 }, (_, i) => i),
  JSON.parse(nested(2_000)),
  JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}'),
  { toString: 'x', length: -1, then: 'no' },
];

type Place = { holder: Record<string, unknown>; key: string };

function places(json: unknown, found: Place[] = []): Place[] {
  if (json === null || typeof json !== 'object') return found;
  for (const key of Object.keys(json)) {
    found.push({ holder: json as Record<string, unknown>, key });
    places((json as Record<string, unknown>)[key], found);
  }
  return found;
}

const jsonDamage: readonly ((json: unknown, next: Next) => unknown)[] = [
  (json, next) => {
    const { holder, key } = oneOf(next, places(json));
    holder[key] = oneOf(next, strangers);
    return json;
  },
  (json, next) => {
    const { holder, key } = oneOf(next, places(json));
    delete holder[key];
    return json;
  },
  (json, next) => {
    const all = places(json);
    const [a, b] = [oneOf(next, all), oneOf(next, all)];
    [a.holder[a.key], b.holder[b.key]] = [structuredClone(b.holder[b.key]), structuredClone(a.holder[a.key])];
    return json;
  },
  (json, next) => ({ ...(json as object), version: oneOf(next, [0, 3, 99, 1e9, -2, 1.5, '2', null, [1]]) }),
  (json, next) => ({
    ...(json as object),
    troupe: oneOf(next, ['cast', 'trace', 'run', 'study', 7, null, 'Workflow']),
  }),
  (_json, next) => oneOf(next, strangers),
  (json, next) => Array.from({ length: below(next, 4) }, () => json),
  (json, next) => {
    const { holder } = oneOf(next, places(json));
    holder[oneOf(next, ['extra', '__proto__', 'hasOwnProperty', ''])] = oneOf(next, strangers);
    return json;
  },
];

const byteDamage: readonly ((bytes: Uint8Array, next: Next) => Uint8Array)[] = [
  (bytes, next) => bytes.slice(0, below(next, bytes.length)),
  (bytes, next) => {
    const out = bytes.slice();
    for (let i = 0; i <= below(next, 8); i++) out[below(next, out.length)] = below(next, 256);
    return out;
  },
  (bytes, next) => {
    const at = below(next, bytes.length);
    return joined(bytes.slice(0, at), bytes.slice(at + 1 + below(next, 40)));
  },
  (bytes, next) => {
    const at = below(next, bytes.length);
    return joined(bytes.slice(0, at), bytes.slice(below(next, bytes.length)));
  },
  (bytes) => joined(Uint8Array.of(0xff, 0xfe), bytes),
  (bytes) => joined(Uint8Array.of(0xef, 0xbb, 0xbf), bytes),
  (bytes) => joined(bytes, bytes),
  () => new Uint8Array(0),
  (_bytes, next) => new Uint8Array(below(next, 3_000)),
  (_bytes, next) => Uint8Array.from({ length: below(next, 3_000) }, () => below(next, 256)),
  (_bytes, next) =>
    bytesOf(oneOf(next, [nested(100_000), '{"a":'.repeat(50_000), '"'.repeat(10_000), '1'.repeat(400)])),
  () => bytesOf('<!doctype html><title>404</title><script>alert(1)</script>'),
];

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

/** A damaged copy of a file. Files of JSON lines have one of their lines damaged. */
export function damaged(bytes: Uint8Array, name: string, next: Next): Uint8Array {
  if (next() < 0.5 || !/\.jsonl?$/.test(name)) return oneOf(next, byteDamage)(bytes, next);
  const damage = oneOf(next, jsonDamage);
  if (name.endsWith('.json')) return bytesOf(JSON.stringify(damage(JSON.parse(textOf(bytes)), next)) ?? 'undefined');
  const lines = textOf(bytes).trimEnd().split('\n');
  const at = below(next, lines.length);
  lines[at] = JSON.stringify(damage(JSON.parse(lines[at]), next)) ?? 'undefined';
  return bytesOf(`${lines.join('\n')}\n`);
}
