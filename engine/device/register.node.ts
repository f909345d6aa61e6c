/** Import once under Node, before opening a device: makes Node's threads, files and Dawn known to the device layer. */
import { registerHosts } from './hosts.ts';
import { nodeWasmHost } from './wasm.node.ts';
import { nodeGpuHost } from './webgpu.node.ts';

registerHosts({ wasm: nodeWasmHost, gpu: nodeGpuHost });
