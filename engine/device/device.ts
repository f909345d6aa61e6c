/**
 * An opened device: the tfjs library with this device's backend active, and where there is one the GPUDevice that the
 * engine owns and tfjs is a guest of. There is one open device per engine, since tfjs keeps its backend globally.
 */
import type * as tfjs from '@tensorflow/tfjs';
import type { DeviceInfo } from '../protocol.ts';

export type Tf = typeof tfjs;

export type DeviceMemory = {
  /** Bytes of live tensors. */
  readonly usedBytes: number;
  /** Bytes taken from the system so far; WebAssembly memory never shrinks, so there it is the high-water mark. */
  readonly reservedBytes: number;
};

export type Device = {
  readonly info: DeviceInfo;
  readonly tf: Tf;
  readonly gpu?: GPUDevice;
  /** Lets messages and timers run; on a GPU also submits what is queued. Call it between steps of long work. */
  yieldToEvents(): Promise<void>;
  memory(): DeviceMemory;
  /** `lost` is called once, with the reason, when the device goes away without `close`. */
  onLost(lost: (reason: string) => void): void;
  close(): Promise<void>;
};

/** A turn of the event loop, without the 4 ms that browsers add to nested timers. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/** tfjs is silent and skips its debug checks; it would greet, warn and advise on the console. */
export function quietTf(tf: Tf): void {
  tf.env().set('PROD', true);
  tf.env().set('DEBUG', false);
}
