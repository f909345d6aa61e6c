/** tfjs in plain JavaScript: works everywhere, some fifty times slower than WebAssembly. For comparison and as a last resort. */
import * as tf from '@tensorflow/tfjs';
import { type Device, nextTurn, quietTf } from './device.ts';

export async function openCpu(reason: string): Promise<Device> {
  quietTf(tf);
  await tf.setBackend('cpu');
  return {
    info: {
      kind: 'cpu',
      name: 'JavaScript, 1 thread',
      software: false,
      threads: 1,
      features: [],
      maxBufferBytes: null,
      reason,
    },
    tf,
    yieldToEvents: nextTurn,
    memory: () => ({ usedBytes: tf.memory().numBytes, reservedBytes: tf.memory().numBytes }),
    onLost: () => {},
    close: async () => {},
  };
}
