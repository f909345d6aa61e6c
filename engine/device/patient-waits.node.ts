/**
 * Dawn under Node waits for the GPU in a busy loop: while anything is awaited, its native callback asks to be called again by
 * `setImmediate`, which takes a whole processor core, and where the GPU is emulated takes it from the emulation. What has
 * waited for some milliseconds waits on in a timer's steps instead; short waits stay as quick as they were.
 * See dawn/src/dawn/node/binding/AsyncRunner.cpp.
 */

/** Waits shorter than this are polled without rest. */
const EAGER_MS = 2;
/** With this long between two polls, the later one belongs to another wait. */
const APART_MS = 20;

type Call = (callback: (...args: unknown[]) => void, ...args: unknown[]) => NodeJS.Immediate;

/** Native callbacks of `setImmediate` are paced from now on; all others are called as before. */
export function waitPatiently(): void {
  const immediate = globalThis.setImmediate as Call;
  let [began, last] = [-Infinity, -Infinity];
  const paced: Call = (callback, ...args) => {
    if (!isNative(callback)) return immediate(callback, ...args);
    const now = performance.now();
    if (now - last > APART_MS) began = now;
    last = now;
    if (now - began < EAGER_MS) return immediate(callback, ...args);
    return setTimeout(callback, 1, ...args) as unknown as NodeJS.Immediate;
  };
  globalThis.setImmediate = Object.assign(paced, globalThis.setImmediate) as typeof setImmediate;
}

function isNative(callback: unknown): boolean {
  return typeof callback === 'function' && callback.name === '' && /\[native code\]/.test(String(callback));
}
