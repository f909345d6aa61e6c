/** Devices open, say what they are, and compute what tfjs's plain backend computes. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DeviceChoice } from '../protocol.ts';
import { adapterName, findAdapter, isSoftware } from './adapter.ts';
import './register.node.ts';
import { type Device, openDevice, probeDevices } from './open.ts';
import { isOutOfMemory, OutOfMemory } from './out-of-memory.ts';
import type { WasmBackend } from './wasm-backend.ts';
import { openWasm } from './wasm.ts';
import { faultOf } from './webgpu.ts';

let device: Device | null = null;
afterEach(async () => {
  await device?.close();
  device = null;
});

describe('openDevice', () => {
  it('opens wasm, with threads that share memory', async () => {
    device = await openDevice('wasm');
    expect(device.info).toMatchObject({ kind: 'wasm', software: false });
    expect(device.info.features).toContain('shared-memory');
    expect(device.tf.getBackend()).toBe('wasm');
  });

  it('takes what was measured fastest before, where no hardware GPU is', async () => {
    const found = (await probeDevices(false)).find((d) => d.kind === 'webgpu')!;
    device = await openDevice('auto', 'cpu');
    expect(device.info.kind).toBe(found.available && !found.software ? 'webgpu' : 'cpu');
    expect(device.info.reason).not.toBe('');
  });

  it('refuses an unknown device with a sentence', async () => {
    await expect(openDevice('tpu' as DeviceChoice)).rejects.toThrow(
      'unknown device "tpu"; choose one of auto, webgpu, wasm, cpu',
    );
  });

  it('opens again after closing', async () => {
    device = await openDevice('wasm');
    await device.close();
    device = await openDevice('wasm');
    expect([...(await device.tf.matMul([[1, 2]], [[3], [4]]).data())]).toEqual([11]);
  });

  it('measures wasm faster than plain JavaScript', async () => {
    const reports = await probeDevices(true);
    const rate = (kind: string): number => reports.find((r) => r.kind === kind)!.gflops!;
    expect(rate('wasm')).toBeGreaterThan(2 * rate('cpu'));
    for (const { available, gigabytesPerSecond } of reports) expect(gigabytesPerSecond! > 0).toBe(available);
  });
});

it('takes a binding beyond the limit for want of room, and other faults for what they are', () => {
  const fault = (message: string): Error => faultOf({ message } as GPUError, 'a GPU');
  const large = fault('Binding size (268435456) of [Buffer] is larger than the maximum storage buffer binding size (134217728).'); // prettier-ignore
  expect(isOutOfMemory(large)).toBe(true);
  expect(large.message).toBe('out of memory: one binding of a GPU has no room for another 256 MiB');
  expect(isOutOfMemory(fault('Out of memory'))).toBe(true);
  expect(isOutOfMemory(fault('[Invalid Buffer] is invalid'))).toBe(false);
});

const adapter = await findAdapter();
const emulated = typeof adapter !== 'string' && adapter.software;

describe.skipIf(!emulated)(`an emulated GPU ${emulated ? '' : 'skipped: there is none'}`, () => {
  it('is waited for without turning the event loop all the time', async () => {
    device = await openDevice('webgpu');
    const { tf } = device;
    let turns = 0;
    let waiting = true;
    const turn = (): void => {
      turns++;
      if (waiting) setImmediate(turn);
    };
    setImmediate(turn);
    const started = performance.now();
    await tf.matMul(tf.ones([512, 512]), tf.ones([512, 512])).data();
    waiting = false;
    const ms = performance.now() - started;
    expect(ms).toBeGreaterThan(10);
    expect(turns).toBeLessThan(ms + 10);
  });

  it('rests once a turn, however many waits there were before', async () => {
    device = await openDevice('webgpu');
    const { queue } = device.gpu!;
    for (let i = 0; i < 50; i++) await queue.onSubmittedWorkDone();
    const rests = vi.spyOn(Atomics, 'wait');
    const result = device.tf.matMul(device.tf.ones([512, 512]), device.tf.ones([512, 512])).data();
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(rests.mock.calls.length).toBeGreaterThan(0);
    expect(rests.mock.calls.length).toBeLessThan(7);
    rests.mockRestore();
    await result;
  });
});

describe('the wasm device', () => {
  it('has the gradient of gather, adding repeated rows', async () => {
    device = await openWasm('test');
    const { tf } = device;
    const table = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
    const scale = tf.tensor2d([1, 10, 100, 1000, 5, 7], [3, 2]);
    const gradient = tf.grad((x) => tf.sum(tf.mul(tf.gather(x, tf.tensor1d([2, 0, 2], 'int32')), scale)))(table);
    expect([...(await gradient.data())]).toEqual([100, 1000, 0, 0, 6, 17]);
  });

  it('gives the gradients of the plain backend through batched products', async () => {
    const gradients = async (d: Device): Promise<number[]> => {
      const { tf } = d;
      const a = tf.randomNormal([2, 3, 5, 7], 0, 1, 'float32', 1);
      const b = tf.randomNormal([2, 3, 4, 7], 0, 1, 'float32', 2);
      const f = (x: typeof a, y: typeof b) => tf.sum(tf.square(tf.matMul(x, y, false, true)));
      const [da, db] = tf.grads(f as Parameters<typeof tf.grads>[0])([a, b]);
      return [...(await da!.data()), ...(await db!.data())];
    };
    device = await openDevice('cpu');
    const want = await gradients(device);
    device = await openWasm('test');
    const got = await gradients(device);
    expect(Math.max(...got.map((v, i) => Math.abs(v - want[i]!)))).toBeLessThan(1e-3);
  });

  it('says so when memory is out, and goes on', async () => {
    device = await openWasm('test');
    const { tf } = device;
    const backend = tf.backend() as WasmBackend;
    const held = backend.makeOutput([6e8], 'float32'); // 2.4 GB, never touched
    expect(() => backend.makeOutput([6e8], 'float32')).toThrow(OutOfMemory);
    expect(() => backend.makeOutput([2 ** 30], 'float32')).toThrow(OutOfMemory); // 2³² bytes: 0 to a 32-bit allocator
    backend.disposeData(held.dataId);
    expect([...(await tf.zeros([2]).data())]).toEqual([0, 0]);
  });

  it('fuses bias and activation as tfjs does', async () => {
    device = await openWasm('test');
    const { tf } = device;
    const out = tf.fused.matMul({ a: tf.tensor2d([[1, -2]]), b: tf.tensor2d([[3, 1], [4, -1]]), bias: tf.tensor1d([1, 1]), activation: 'relu' }); // prettier-ignore
    expect([...(await out.data())]).toEqual([0, 4]);
  });
});

describe('adapters', () => {
  const info = (of: Partial<GPUAdapterInfo>): GPUAdapterInfo =>
    ({ vendor: '', architecture: '', device: '', description: '', isFallbackAdapter: false, ...of }) as GPUAdapterInfo;

  it.each([
    [{ vendor: 'google', architecture: 'swiftshader' }, true],
    [{ vendor: 'mesa', description: 'llvmpipe (LLVM 19.1.7, 256 bits)' }, true],
    [{ description: 'Microsoft Basic Render Driver' }, true],
    [{ vendor: 'nvidia', architecture: 'hopper', isFallbackAdapter: true }, true],
    [{ vendor: 'nvidia', architecture: 'ada', description: 'NVIDIA GeForce RTX 4090' }, false],
    [{ vendor: 'apple', architecture: 'metal-3' }, false],
  ])('%o: software %s', (of, software) => expect(isSoftware(info(of))).toBe(software));

  it('are named by what they say', () => {
    expect(adapterName(info({ vendor: 'apple', architecture: 'metal-3' }))).toBe('apple, metal-3');
    expect(adapterName(info({ vendor: 'nvidia', architecture: 'ada', description: 'RTX 4090' }))).toBe(
      'RTX 4090 (nvidia, ada)',
    );
  });
});

describe('isOutOfMemory', () => {
  it('knows ours and the platform’s, and nothing else', () => {
    expect(isOutOfMemory(new OutOfMemory(1, 'here'))).toBe(true);
    expect(isOutOfMemory(new RangeError('Array buffer allocation failed'))).toBe(true);
    expect(isOutOfMemory(new RangeError('toFixed() digits'))).toBe(false);
    expect(isOutOfMemory(new Error('shapes differ'))).toBe(false);
  });
});
