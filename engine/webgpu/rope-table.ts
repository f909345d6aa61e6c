/** Rotary angles of every position, as the kernels that rotate read them. */
import { ropeFrequencies, type ModelConfig } from '../formats/config.ts';

/** cos and sin of every position and pair by turns. // [positions, headDim / 2, 2] */
export function ropeTable(config: ModelConfig, positions: number): Float32Array {
  const frequencies = ropeFrequencies(config);
  const half = frequencies.length;
  const table = new Float32Array(positions * half * 2);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      // Hugging Face multiplies position and frequency in float32; so do we, to agree at long positions.
      const angle = Math.fround(position * frequencies[i]);
      table[(position * half + i) * 2] = Math.cos(angle);
      table[(position * half + i) * 2 + 1] = Math.sin(angle);
    }
  }
  return table;
}
