/** What the allocator does when memory is out: those who can give some back do so first, and only then it fails. */
import { describe, expect, it } from 'vitest';
import { isOutOfMemory } from './out-of-memory.ts';
import { failLoudly } from './wasm-backend.ts';

/** Has room for one allocation at a time beside the first. */
function full(): { _malloc(bytes: number): number; _free(address: number): void; taken: boolean } {
  const heap = {
    taken: false,
    _malloc: (): number => (heap.taken ? 0 : ((heap.taken = true), 64)),
    _free: (): void => void (heap.taken = false),
  };
  return heap;
}

const memory = new WebAssembly.Memory({ initial: 1 });

describe('memory that is out', () => {
  it('is asked for again once someone gave some back', () => {
    const heap = full();
    const given: string[] = [];
    const short = new Set([() => given.push('asked'), () => heap._free(64)]);
    const { allocate } = failLoudly(heap, memory, short);
    expect(allocate(100)).toBe(64);
    expect(given).toEqual([]);
    expect(allocate(100)).toBe(64);
    expect(given).toEqual(['asked']);
  });

  it('is an error that says so where nobody has any', () => {
    const heap = full();
    const { allocate } = failLoudly(heap, memory, new Set([() => {}]));
    allocate(100);
    const failed = ((): unknown => {
      try {
        return allocate(100);
      } catch (error) {
        return error;
      }
    })();
    expect(isOutOfMemory(failed)).toBe(true);
  });
});
