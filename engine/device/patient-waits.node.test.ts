/** What waits long for the GPU leaves the processor alone; every other use of `setImmediate` stays as it is. */
import { afterEach, describe, expect, it } from 'vitest';
import { waitPatiently } from './patient-waits.node.ts';

const plain = globalThis.setImmediate;

/** Polls as Dawn does, with a native callback, for so long; resolves to the number of polls. */
function polls(ms: number): Promise<number> {
  return new Promise((resolve) => {
    const end = performance.now() + ms;
    let count = 0;
    const poll = Object.defineProperty((() => {
      count++;
      if (performance.now() >= end) resolve(count);
      else globalThis.setImmediate(poll);
    }).bind(null), 'name', { value: '' }); // prettier-ignore
    globalThis.setImmediate(poll);
  });
}

describe('patient waits', () => {
  afterEach(() => {
    globalThis.setImmediate = plain;
  });

  it('polls a long wait a few times a millisecond at most, and a short one without rest', async () => {
    const busy = await polls(100);
    waitPatiently();
    expect(await polls(100)).toBeLessThan(busy / 4);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await polls(1)).toBeGreaterThan(3);
  });

  it('calls what is not native at once, with its arguments', async () => {
    waitPatiently();
    await polls(20);
    expect(await new Promise((resolve) => globalThis.setImmediate((a, b) => resolve([a, b]), 1, 2))).toEqual([1, 2]);
  });
});
