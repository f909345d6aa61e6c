/**
 * Advantages and returns from rewards and values. Everything is flat: [n] numbers in token order, one response after
 * another, with `starts` [responses + 1] giving each response's first token and, last, n. A response is its own episode.
 */

export type Advantages = { readonly advantages: Float32Array; readonly returns: Float32Array };

/**
 * Generalised advantage estimation. delta_t = r_t + gamma V_{t+1} - V_t, A_t = delta_t + gamma lambda A_{t+1}, with V = 0
 * after a response's last token; returns = A + V, before any whitening.
 * Source: Schulman et al. 2016, eq. 16; with gamma = lambda = 1 this is R - V.
 */
export function gae(
  rewards: Float32Array,
  values: Float32Array,
  starts: Uint32Array,
  gamma: number,
  lambda: number,
): Advantages {
  const advantages = new Float32Array(rewards.length);
  const returns = new Float32Array(rewards.length);
  for (let r = 0; r + 1 < starts.length; r++) {
    let next = 0; // V_{t+1}
    let running = 0; // A_{t+1}
    for (let t = starts[r + 1] - 1; t >= starts[r]; t--) {
      running = rewards[t] + gamma * next - values[t] + gamma * lambda * running;
      next = values[t];
      advantages[t] = running;
      returns[t] = running + values[t];
    }
  }
  return { advantages, returns };
}

/** Discounted reward to go of every token: the return of a response whose values are all zero. */
export function rewardToGo(rewards: Float32Array, starts: Uint32Array, gamma: number): Float32Array {
  return gae(rewards, new Float32Array(rewards.length), starts, gamma, 1).returns;
}
