/**
 * Sampling seeds: a function of what is sampled, never of when or beside what, so that batching and resuming change nothing.
 */

/** 32 bits from the parts' texts: FNV-1a, then murmur3's finaliser so that neighbours differ in every bit. */
export function hashSeed(...parts: readonly (string | number)[]): number {
  let hash = 0x811c9dc5;
  for (const part of parts) {
    for (const char of `${part}\u0000`) {
      hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193);
    }
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
