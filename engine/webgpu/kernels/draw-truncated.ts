/**
 * Top-k, top-p and min-p on the device, for the rows of a step that ask for any: from the logits that `head-tiles.ts` kept, a
 * workgroup finds the least logit that stays, sixteen times two bits of it, and draws from what stays by inverse CDF. Runs of
 * tokens whose highest logit is too low are passed over, so that a peaked distribution costs little. Sums are added in the
 * same order whatever else is in the batch. Source of the order of cuts: Hugging Face's logits warpers.
 */
import { inverseCdf, warpedProbabilities } from '../../rollout/sample.ts';
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS, type RowDraw } from '../step.ts';
import { reads, writes } from '../wgsl.ts';
import { MERGE_FUNCTIONS } from './draw.ts';
import { RECORD, rowsWithin, RUN, runsOf, type RowWindow } from './head-tiles.ts';

/** Logits kept at once: 64 MiB. */
const KEPT_NUMBERS = 2 ** 24;
/** The most threads that every GPU runs in a workgroup: a row's logits are many. */
const FULL_TEAM = 256;

/** A step's rows in windows whose logits are kept at the same time. */
export function keptWindows(rows: number, vocab: number, numbers = KEPT_NUMBERS): RowWindow[] {
  const most = Math.max(1, Math.floor(numbers / vocab));
  return Array.from({ length: Math.ceil(rows / most) }, (_, i) => ({
    first: i * most,
    count: Math.min(most, rows - i * most),
  }));
}

/** Numbers that keeping them takes. */
export const keptNumbers = (rows: number, vocab: number): number => keptWindows(rows, vocab)[0].count * vocab;

/** Bindings: step, all [kept.count, vocab], records, ids [rows], numbers [rows, 3]: id, log-prob, entropy. A workgroup takes a row. */
export function drawTruncatedKernel(vocab: number, kept: RowWindow, tuning: Tuning): Kernel {
  const team = tuning.stages ? FULL_TEAM : tuning.team;
  return kernel(
    `draw truncated from ${vocab}`,
    {
      bindings: [STEP, reads('all', 'f32'), reads('records', 'f32'), writes('ids', 'i32'), writes('numbers', 'f32')],
      counts: {
        ...{ TOP: kept.first, VOCAB: vocab, RUN, RUNS: runsOf(vocab), RECORD, TEAM: team },
        STRETCH: Math.ceil(runsOf(vocab) / team),
      },
      shared: { ...{ bests: team, tokens: team, masses: team, spreads: team, tempers: team }, sums: 3 * team },
      threads: team,
      functions: [STEP_FUNCTIONS, MERGE_FUNCTIONS, ABOVE_FUNCTIONS, TAKE_FUNCTION].join('\n'),
      main: `
  let row = TOP + group.x;
  if (row >= stepRows() || !truncates(row)) { return; }
  let sharpness = sharpnessOf(row);
  var own = nothing();
  for (var run = thread * STRETCH; run < min((thread + 1u) * STRETCH, RUNS); run++) {
    own = merged(own, recordOf(row, run), sharpness);
  }
  keep(thread, own);
  workgroupBarrier();
  var whole = nothing();
  for (var i = 0u; i < turns(TEAM); i++) { whole = merged(whole, kept(i), sharpness); }
  // Keys above \`below\` stay; of those just above it, as many as \`ties\`.
  var below = 0u;
  var ties = VOCAB;
  for (var cut = 0u; cut < turns(2u); cut++) {
    let by_mass = cut == 1u;
    if ((!by_mass && topKOf(row) == 0u) || (by_mass && topPOf(row) >= 1f)) { continue; }
    // The least key above which there is less than the limit: all that there is, then two bits a turn, then what is above it.
    var limit = f32(topKOf(row));
    var least = 0u;
    for (var turn = 0u; turn < turns(18u); turn++) {
      let step_by = 1u << (2u * (16u - clamp(turn, 1u, 16u)));
      var bounds = vec3u(select(least, below, turn == 0u));
      if (turn > 0u && turn < 17u) { bounds = vec3u(least) + step_by * vec3u(1u, 2u, 3u) - 1u; }
      bounds = max(bounds, vec3u(below));
      var part = vec3f();
      for (var run = thread; run < RUNS; run += TEAM) {
        if (keyOf(records[(row * RUNS + run) * RECORD]) <= bounds.x) { continue; }
        for (var token = run * RUN; token < min((run + 1u) * RUN, VOCAB); token++) {
          let z = all[group.x * VOCAB + token];
          let value = select(1f, exp(sharpness * (z - whole.best)), by_mass);
          part += select(vec3f(), vec3f(value), vec3u(keyOf(z)) > bounds);
        }
      }
      workgroupBarrier();
      for (var i = 0u; i < 3u; i++) { sums[3u * thread + i] = part[i]; }
      workgroupBarrier();
      var above = vec3f();
      for (var i = 0u; i < turns(TEAM); i++) { above += vec3f(sums[3u * i], sums[3u * i + 1u], sums[3u * i + 2u]); }
      if (turn == 0u) { limit = select(limit, topPOf(row) * above.x, by_mass); }
      else if (turn < 17u) { least += step_by * dot(vec3u(above >= vec3f(limit)), vec3u(1u)); }
      else if (by_mass) {
        let weight = exp(sharpness * (logitOf(least) - whole.best));
        ties = u32(clamp(ceil((limit - above.x) / weight), 1f, f32(VOCAB)));
      }
    }
    below = max(least, 1u) - 1u;
  }
  var edge = 0f;
  if (below > 0u) { edge = weightOf(logitOf(below + 1u), row, whole.best); }
  var mass = 0f;
  var equal = 0f;
  for (var token = thread * STRETCH * RUN; token < min((thread + 1u) * STRETCH * RUN, VOCAB); token++) {
    let key = keyOf(all[group.x * VOCAB + token]);
    if (key > below + 1u) { mass += weightOf(all[group.x * VOCAB + token], row, whole.best); }
    equal += select(0f, 1f, key == below + 1u);
  }
  workgroupBarrier();
  masses[thread] = mass;
  tempers[thread] = equal;
  workgroupBarrier();
  if (thread == 0u) { take(row, group.x * VOCAB, below, ties, edge, whole); }`,
    },
    (rows) => [rowsWithin(kept, rows), 1],
  );
}

/** Keys stand in the order of the logits they are made of. */
const ABOVE_FUNCTIONS = `
fn keyOf(z: f32) -> u32 {
  let bits = bitcast<u32>(z);
  return bits ^ select(0x80000000u, 0xffffffffu, bits >> 31u == 1u);
}
fn logitOf(key: u32) -> f32 { return bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, key >> 31u == 1u)); }
fn weightOf(z: f32, row: u32, best: f32) -> f32 {
  let weight = exp(sharpnessOf(row) * (z - best));
  return select(weight, 0f, weight < minPOf(row));
}`;

/** `edge`: the weight of a token just above `below`. Where rounding leaves none above the draw, the last that stays. */
const TAKE_FUNCTION = `
fn take(row: u32, at: u32, below: u32, ties: u32, edge: f32, whole: Sums) {
  var total = 0f;
  var left = f32(ties);
  for (var i = 0u; i < turns(TEAM); i++) {
    let equal = min(tempers[i], left);
    left -= equal;
    total += masses[i] + equal * edge;
  }
  let target_mass = drawOf(row) * total;
  var before = 0f;
  var stretch = 0u;
  var begun = 0f;
  left = f32(ties);
  var free = left;
  for (var i = 0u; i < turns(TEAM); i++) {
    let equal = min(tempers[i], left);
    let mass = masses[i] + equal * edge;
    if (mass > 0f) { stretch = i; begun = before; free = left; }
    left -= equal;
    before += mass;
    if (before > target_mass) { break; }
  }
  var chosen = u32(whole.token);
  for (var token = stretch * STRETCH * RUN; token < min((stretch + 1u) * STRETCH * RUN, VOCAB); token++) {
    let key = keyOf(all[at + token]);
    let equal = key == below + 1u;
    if (key <= below || (equal && free == 0f)) { continue; }
    if (equal) { free -= 1f; }
    let weight = weightOf(all[at + token], row, whole.best);
    if (weight == 0f) { continue; }
    chosen = token;
    begun += weight;
    if (begun > target_mass) { break; }
  }
  let log_mass = log(whole.mass);
  ids[row] = i32(chosen);
  numbers[row * 3u] = f32(chosen);
  numbers[row * 3u + 1u] = all[at + chosen] - whole.best - log_mass;
  numbers[row * 3u + 2u] = log_mass - whole.spread / whole.mass;
}`;

/** As the host draws, from all logits at once: [rows, vocab] -> [rows, 3]. Other rows stay 0. */
export function drawTruncatedReference(vocab: number, draws: readonly RowDraw[], logits: Float32Array): Float32Array {
  const out = new Float32Array(draws.length * 3);
  for (const [row, { sharpness, draw, truncation }] of draws.entries()) {
    if (!truncation) continue;
    const own = logits.subarray(row * vocab, (row + 1) * vocab);
    const id = inverseCdf(warpedProbabilities(own, { temperature: 1 / sharpness, ...truncation }), draw);
    const best = own.reduce((a, b) => Math.max(a, b));
    const mass = own.reduce((sum, z) => sum + Math.exp(z - best), 0);
    const spread = own.reduce((sum, z) => sum + (z - best) * Math.exp(z - best), 0);
    out.set([id, own[id] - best - Math.log(mass), Math.log(mass) - spread / mass], row * 3);
  }
  return out;
}
