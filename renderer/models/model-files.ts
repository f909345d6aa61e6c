/** Files a person picked, as the set the engine reads, with a name for the model; and what fits in memory here. */
import type { DeviceKind, FileSet, ModelInfo } from '../../engine/protocol.ts';
import { isModelFile, modelName } from '../../workflows/workspace/models.ts';

export type Picked = { readonly name: string; readonly files: FileSet };

type FileLike = Blob & { readonly name: string; readonly webkitRelativePath?: string };

export function isWeights(name: string): boolean {
  return /\.(gguf|safetensors)$/i.test(name);
}

/** One GGUF file, or files that were chosen together as a folder holds them; null when they are no model. */
export function pickFiles(files: readonly FileLike[]): Picked | null {
  const gguf = files.find(({ name }) => /\.gguf$/i.test(name));
  return gguf ? pickGguf(gguf) : pickFolder(files);
}

/** The files of a Hugging Face folder; deeper folders and other files are left out. null when it is no model. */
function pickFolder(files: readonly FileLike[]): Picked | null {
  const top = files.filter(
    (file) => (file.webkitRelativePath ?? file.name).split('/').length <= 2 && isModelFile(file.name),
  );
  const names = new Set(top.map((file) => file.name));
  if (!names.has('config.json') || ![...names].some((name) => name.endsWith('.safetensors'))) return null;
  const folder = (top[0]?.webkitRelativePath ?? '').split('/').slice(0, -1)[0] ?? '';
  return {
    name: modelName(folder) || 'model',
    files: Object.fromEntries(top.map((file) => [file.name, { kind: 'blob', blob: file }])),
  };
}

function pickGguf(file: FileLike): Picked {
  return { name: modelName(file.name) || 'model', files: { [file.name]: { kind: 'blob', blob: file } } };
}

export function validName(name: string): boolean {
  return /^[a-zA-Z0-9][\w.-]{0,63}$/.test(name);
}

/** 32-bit WebAssembly addresses no more, whatever the machine has. */
const WASM_BYTES = 2 ** 32;

/** Memory to judge against: what the browser says of the machine, within what the device can address; null when unknown. */
export function machineMemory(deviceMemoryGb: number | undefined, kind: DeviceKind | undefined): number | null {
  const machine = deviceMemoryGb === undefined ? null : deviceMemoryGb * 1e9;
  return kind === 'wasm' ? Math.min(WASM_BYTES, machine ?? WASM_BYTES) : machine;
}

export type Fit = 'fits' | 'smaller' | 'tooLarge' | 'unknown';

/**
 * Whether running or training fits. The estimates count a full micro-batch of 4,096 tokens, which the engine halves when
 * memory runs out; what cannot shrink are the weights and, for full training, gradients and two moments (16 bytes each).
 */
export function fitOf(
  info: Pick<ModelInfo, 'memory' | 'parameters'>,
  use: 'run' | 'trainLora' | 'trainFull',
  memory: number | null,
): Fit {
  if (memory === null) return 'unknown';
  if (info.memory[use] <= memory) return 'fits';
  const least = use === 'trainFull' ? info.parameters * 16 : info.memory.run;
  return use !== 'run' && least <= memory ? 'smaller' : 'tooLarge';
}
