/** Import once in a browser's or Electron's worker, before opening a device: makes its WebGPU and threads known to the device layer. */
import type { GpuHost } from './hosts.ts';
import { registerHosts } from './hosts.ts';
import { webWasmHost } from './wasm.web.ts';

const webGpuHost: GpuHost = {
  async gpu() {
    if (typeof navigator === 'undefined' || !navigator.gpu) return 'this browser has no WebGPU, or it is switched off';
    return navigator.gpu;
  },
  restWhileWaiting() {}, // a browser's promises wait without being asked after
};

registerHosts({ wasm: webWasmHost, gpu: webGpuHost });
