import { describe, expect, it } from 'vitest';
import { modelName } from '../../workflows/workspace/models.ts';
import { fitOf, machineMemory, pickFiles, validName } from './model-files.ts';

function file(path: string): File {
  const made = new File(['x'], path.split('/').at(-1) ?? '');
  Object.defineProperty(made, 'webkitRelativePath', { value: path });
  return made;
}

describe('picked files', () => {
  it('take a model folder and leave the rest', () => {
    const picked = pickFiles(
      [
        'SmolLM2 135M/config.json',
        'SmolLM2 135M/model-00001-of-00002.safetensors',
        'SmolLM2 135M/README.md',
        'SmolLM2 135M/onnx/config.json',
      ].map(file),
    );
    expect(picked?.name).toBe('smollm2-135m');
    expect(Object.keys(picked?.files ?? {})).toEqual(['config.json', 'model-00001-of-00002.safetensors']);
  });
  it('take the files of a model that were chosen one by one', () => {
    const chosen = ['config.json', 'tokenizer.json', 'model.safetensors'].map((name) => new File(['x'], name));
    expect(pickFiles(chosen)?.name).toBe('model');
    expect(Object.keys(pickFiles(chosen)?.files ?? {})).toEqual(['config.json', 'tokenizer.json', 'model.safetensors']);
    expect(pickFiles(chosen.slice(2))).toBeNull();
  });
  it('refuse a folder that is no model', () => {
    expect(pickFiles([file('photos/cat.jpg')])).toBeNull();
    expect(pickFiles([file('half/config.json')])).toBeNull();
  });
  it('name a GGUF file', () => {
    expect(pickFiles([file('Tiny Model.Q4_1.GGUF')])?.name).toBe('tiny-model.q4_1');
    expect(pickFiles([file('....gguf')])?.name).toBe('model');
    expect(validName(modelName('-- Größe --'))).toBe(true);
    expect(validName('../x')).toBe(false);
  });
  it('judge fit only where memory is known', () => {
    const info = { parameters: 135e6, memory: { run: 0.9e9, trainLora: 12e9, trainFull: 15e9 } };
    expect(fitOf(info, 'run', machineMemory(16, 'wasm'))).toBe('fits');
    expect(fitOf(info, 'trainLora', machineMemory(16, 'webgpu'))).toBe('fits');
    expect(fitOf(info, 'trainLora', machineMemory(16, 'wasm'))).toBe('smaller');
    expect(fitOf({ ...info, parameters: 3e9 }, 'trainFull', machineMemory(undefined, 'wasm'))).toBe('tooLarge');
    expect(fitOf({ ...info, memory: { ...info.memory, run: 6e9 } }, 'run', machineMemory(4, 'cpu'))).toBe('tooLarge');
    expect(fitOf(info, 'run', machineMemory(undefined, 'cpu'))).toBe('unknown');
  });
});
