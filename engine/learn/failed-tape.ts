/**
 * Mends tfjs after a gradient computation that threw, as one that runs out of memory does: its tape, and every tensor kept
 * for the backward pass, would otherwise stay in memory for good, and a second try with less would fail as well.
 */
import * as tf from '@tensorflow/tfjs';

/** What we use of tfjs's engine; see tfjs-core, engine.ts and tape.ts. */
type EngineState = { activeTape: { saved?: tf.Tensor[] }[] | null; gradientDepth: number };

/** Runs `work`; when it throws, frees what an unfinished tape kept, and throws on. */
export function freeingFailedTape<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const state = (tf.engine() as unknown as { state: EngineState }).state;
    if (state.gradientDepth === 0 && state.activeTape) {
      for (const { saved } of state.activeTape) for (const tensor of saved ?? []) tensor.dispose();
      state.activeTape = null;
    }
    throw error;
  }
}
