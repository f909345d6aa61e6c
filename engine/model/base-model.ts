/**
 * A loaded base model: its weights on the device, once, whatever number of policies stand on it, with the trunk and the
 * tokenizer that go with them. Weights are float32 whatever the file holds.
 */
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import type { ModelConfig } from '../formats/config.ts';
import type { ModelSource } from '../formats/model-files.ts';
import type { Tokenizer } from '../formats/tokenizer.ts';
import { makeTrunk } from './choose-trunk.ts';
import type { Trunk, Weights } from './trunk.ts';

export type BaseModel = {
  readonly name: string;
  readonly source: ModelSource;
  readonly config: ModelConfig;
  readonly trunk: Trunk;
  readonly weights: Weights;
  /** null where the files hold none. */
  readonly tokenizer: Tokenizer | null;
  readonly bytes: number;
  dispose(): void;
};

export type LoadProgress = (done: number, total: number) => Promise<void> | void;

/** Reads every weight to the device, dequantised to float32. `progress` counts parameters and may throw to stop. */
export async function loadBaseModel(name: string, source: ModelSource, progress: LoadProgress): Promise<BaseModel> {
  const weights: Record<string, tf.Tensor> = {};
  try {
    let done = 0;
    for (const tensor of source.tensorNames) {
      const values = await source.readTensor(tensor);
      checkFinite(tensor, values);
      weights[tensor] = tf.tensor(values, [...source.shape(tensor)]);
      done += values.length;
      await progress(done, source.parameters);
    }
    const tokenizer = source.hasTokenizer ? await source.tokenizer() : null;
    const trunk = makeTrunk(source.config);
    const dispose = (): void => {
      tf.dispose(weights);
      trunk.dispose();
    };
    return { name, source, config: source.config, trunk, weights, tokenizer, bytes: source.parameters * 4, dispose };
  } catch (error) {
    tf.dispose(weights);
    throw error;
  }
}

/** One damaged number would turn every output into NaN without a word. */
function checkFinite(name: string, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]))
      throw new UserError(
        `The weight ${name} holds ${values[i]} at position ${i}; the file is damaged, download it again`,
      );
  }
}
