/**
 * The head in training: from logits of some tokens, which stand in a scratch, to what of the whole vocabulary is needed, and
 * from there to the gradient of those logits. Logits come a stretch of the vocabulary at a time, so a row's highest logit m,
 * s = Σ e^(z - m), t = Σ (z - m) e^(z - m) and the chosen token's logit are carried from stretch to stretch.
 * log-prob = z_y - m - ln s; entropy H = ln s - t / s; dz = a (1[v = y] - p) - h p (ln p + H), p = e^(z - m) / s.
 */
import { itemOfThread, rowOfThread, rowShader, sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { reads, writes } from '../wgsl.ts';

/** Numbers carried for a row: m, s, t, z_y. */
export const CARRIED = 4;

/** An item is a row; the stretch is tokens `first` … first + width - 1, and the first one finds nothing carried. Bindings: ids [rows], z [rows, width], carried [rows]. */
export function carryLogitsKernel(cut: Cut): SizedKernel {
  return sizedKernel('carry logits', {
    ...rowShader(cut),
    bindings: [reads('ids', 'u32'), reads('z', 'f32'), writes('carried', 'vec4f')],
    counts: { TEAM: cut.team },
    sizes: ['first', 'width'],
    main: `${rowOfThread(cut)}
  let before = select(vec4f(-1e30, 0f, 0f, 0f), carried[row], first > 0u);
  let at = row * width;
  var own = -1e30;
  for (var i = place; i < width; i += TEAM) { own = max(own, z[at + i]); }
  let best = max(before.x, highest(own, thread));
  var mass = 0f;
  var spread = 0f;
  for (var i = place; i < width; i += TEAM) {
    let high = z[at + i] - best;
    mass += exp(high);
    spread += high * exp(high);
  }
  mass = total(mass, thread);
  spread = total(spread, thread);
  if (place > 0u) { return; }
  let fade = exp(before.x - best);
  let token = ids[row] - first; // ids below first wrap around and fail the test
  carried[row] = vec4f(
    best,
    before.y * fade + mass,
    (before.z + (before.x - best) * before.y) * fade + spread,
    select(before.w, z[at + min(token, width - 1u)], token < width),
  );`,
  });
}

/** An item is a row. Bindings: carried [rows], scores [rows] of log-prob and entropy. */
export function scoreLogitsKernel({ threads }: Cut): SizedKernel {
  return sizedKernel('score logits', {
    bindings: [reads('carried', 'vec4f'), writes('scores', 'vec2f')],
    ...{ counts: {}, threads, perGroup: threads },
    main: `
  let row = block * ${threads}u + thread;
  if (row >= count) { return; }
  let all = carried[row];
  scores[row] = vec2f(all.w - all.x - log(all.y), log(all.y) - all.z / all.y);`,
  });
}

/** Logits to their gradient, in place. An item is four tokens of a row. Bindings: ids, carried, dy [rows] of a and h, z. */
export function logitsGradKernel(cut: Cut): SizedKernel {
  return sizedKernel('gradient of logits', {
    bindings: [reads('ids', 'u32'), reads('carried', 'vec4f'), reads('dy', 'vec2f'), writes('z', 'vec4f')],
    ...{ counts: {}, sizes: ['first', 'w4'], reals: ['ofEntropy'], threads: cut.threads, perGroup: cut.threads },
    main: `${itemOfThread(cut)}
  let row = item / w4;
  let all = carried[row];
  let logP = z[item] - (all.x + log(all.y));
  let p = exp(logP);
  let entropy = log(all.y) - all.z / all.y;
  let token = first + item % w4 * 4u;
  let chosen = select(vec4f(), vec4f(1f), vec4u(ids[row]) == vec4u(token, token + 1u, token + 2u, token + 3u));
  z[item] = dy[row].x * (chosen - p) - ofEntropy * dy[row].y * p * (logP + entropy);`,
  });
}

type Logits = { readonly z: Float32Array; readonly ids: Uint32Array; readonly vocab: number };

/** Log-prob and entropy of every row, from all logits at once. // [rows, 2] */
export function scoreLogitsReference({ z, ids, vocab }: Logits): Float32Array {
  return Float32Array.from(
    [...ids].flatMap((id, row) => {
      const own = z.subarray(row * vocab, (row + 1) * vocab);
      const best = own.reduce((most, x) => Math.max(most, x), -Infinity);
      const lse = best + Math.log(own.reduce((sum, x) => sum + Math.exp(x - best), 0));
      return [own[id] - lse, own.reduce((sum, x) => sum - Math.exp(x - lse) * (x - lse), 0)];
    }),
  );
}

/** By finite differences of Σ dy · scores. */
export function logitsGradReference({ z, ids, vocab }: Logits, dy: Float32Array): Float32Array {
  const step = 1e-2;
  const loss = (row: number, at: number, move: number): number => {
    const own = z.slice(row * vocab, (row + 1) * vocab);
    own[at] += move;
    const [logprob, entropy] = scoreLogitsReference({ z: own, ids: ids.subarray(row, row + 1), vocab });
    return dy[2 * row] * logprob + dy[2 * row + 1] * entropy;
  };
  return z.map((_, i) => {
    const [row, at] = [Math.floor(i / vocab), i % vocab];
    return (loss(row, at, step) - loss(row, at, -step)) / (2 * step);
  });
}
