/**
 * A kernel whose sizes are numbers of each call: one program serves every matrix of a model, forward and backward, which is
 * what training wants, whose shapes are many and whose rows differ from batch to batch. Its first binding holds the sizes;
 * work is counted in items, and a workgroup takes `perGroup` of them. Workgroups beyond one dimension's limit go on in a
 * second.
 */
import { vectorOf, type Grid, type Kernel } from './kernel.ts';
import { chosenUnit, type MatrixUnit } from './matrix-unit.ts';
import { reads, writeShader, type Shader } from './wgsl.ts';

export type SizedKernel = Kernel & {
  /** Names of the whole and the real numbers of a call, in their order behind the first two words. */
  readonly sizes: readonly string[];
  readonly reals: readonly string[];
};

export type SizedShader = Shader & {
  readonly sizes?: readonly string[];
  readonly reals?: readonly string[];
  readonly perGroup: number;
};

/** How kernels are cut for an adapter. */
export type Cut = {
  /** Threads of a workgroup. */
  readonly threads: number;
  /** How many of them share a row of a reduction: one, so that none waits, or all. */
  readonly team: number;
  /** Whether those add up within subgroups first, and only the subgroups' sums in workgroup memory. */
  readonly subgroups: boolean;
  /** Threads of a product's workgroup that load the numbers all of them need in turns and hand them round; 0: each loads its own. */
  readonly handRound: number;
  /** What multiplies the tiles of products; null: threads do. */
  readonly matrix: MatrixUnit | null;
};

/**
 * A barrier makes an emulating adapter run its threads by turns, and every thread's number is loaded by itself, so that what a
 * vector of threads shares is best loaded once; a GPU wants neighbours to read neighbouring numbers.
 */
export function cutFor({ software, device }: { readonly software: boolean; readonly device: GPUDevice }): Cut {
  if (software) return vectorCut(device) ?? SOFTWARE_CUT;
  return { ...GPU_CUT, subgroups: device.features.has('subgroups'), matrix: chosenUnit(device) };
}

/** For adapters whose subgroups have one size, which is then a product's workgroup; else null. */
export function vectorCut(device: Pick<GPUDevice, 'features' | 'adapterInfo'>): Cut | null {
  const vector = vectorOf(device);
  return vector > 0 ? { ...SOFTWARE_CUT, handRound: vector } : null;
}

export const SOFTWARE_CUT: Cut = { threads: 32, team: 1, subgroups: false, handRound: 0, matrix: null };
export const GPU_CUT: Cut = { threads: 64, team: 64, subgroups: false, handRound: 0, matrix: null };

const MAX_GROUPS = 65535;
/** The number of items, and workgroups in the first dimension. */
const HEADER = 2;

/** Main knows `count`, its workgroup `block`, `turns(n)` (n, as a number no compiler knows), and all sizes by name. */
export function sizedKernel(name: string, shader: SizedShader): SizedKernel {
  const { sizes = [], reals = [], perGroup } = shader;
  const main = [
    'let count = dims[0];',
    'let block = group.y * dims[1] + group.x;',
    ...sizes.map((size, i) => `let ${size} = dims[${HEADER + i}];`),
    ...reals.map((real, i) => `let ${real} = bitcast<f32>(dims[${HEADER + sizes.length + i}]);`),
    shader.main,
  ].join('\n');
  const bindings = [reads('dims', 'u32'), ...shader.bindings];
  const functions = `fn turns(n: u32) -> u32 { return min(n, dims[0] * n); }\n${shader.functions ?? ''}`;
  return {
    ...{ name, bindings, sizes, reals },
    source: writeShader({ ...shader, bindings, functions, main }),
    grid: (count) => spread(Math.ceil(count / perGroup)),
  };
}

function spread(groups: number): Grid {
  if (groups <= MAX_GROUPS) return [groups, 1];
  const y = Math.ceil(groups / MAX_GROUPS);
  return [Math.ceil(groups / y), y];
}

/** The words of one call. A size without a number is a bug. */
export function callWords(
  kernel: SizedKernel,
  count: number,
  numbers: Readonly<Record<string, number>>,
): Uint32Array<ArrayBuffer> {
  const { sizes, reals } = kernel;
  const words = new Uint32Array(HEADER + sizes.length + reals.length);
  const floats = new Float32Array(words.buffer);
  const of = (name: string): number => {
    const value = numbers[name];
    if (value === undefined || !Number.isFinite(value)) throw new Error(`${kernel.name}: ${name} is ${value}`);
    return value;
  };
  words.set([count, kernel.grid(count)[0], ...sizes.map(of)]);
  floats.set(reals.map(of), HEADER + sizes.length);
  return words;
}

/** Reductions over the threads that share a row: where they start, how they join, and by what within a subgroup. */
const REDUCTIONS = [
  { name: 'total', start: '0f', join: 'all + team[i]', within: 'subgroupAdd' },
  { name: 'highest', start: '-1e30', join: 'max(all, team[i])', within: 'subgroupMax' },
] as const;

/** WGSL of them; with one thread a row they are the thread's own. */
function rowFunctions({ team, subgroups }: Cut): string {
  if (team === 1) return REDUCTIONS.map(({ name }) => `fn ${name}(own: f32, thread: u32) -> f32 { return own; }`).join('\n'); // prettier-ignore
  // However threads are dealt to subgroups: the first of each leaves its part where the thread has its place.
  const [mine, first, step] = subgroups ? ['part', 'own_lane', 'own_lanes'] : ['own', '0u', '1u'];
  const whole = REDUCTIONS.map(
    ({ name, start, join, within }) => `
fn ${name}(own: f32, thread: u32) -> f32 {
${subgroups ? `  let part = select(${start}, ${within}(own), own_lane == 0u);` : ''}
  team[thread] = ${mine};
  workgroupBarrier();
  var all = ${start};
  for (var i = ${first}; i < turns(${team}u); i += ${step}) { all = ${join}; }
  workgroupBarrier();
  return ${subgroups ? `${within}(all)` : 'all'};
}`,
  ).join('');
  return subgroups ? `var<private> own_lane: u32;\nvar<private> own_lanes: u32;\n${whole}` : whole;
}

/** `row` of a thread and its `place` among those that share it; ends threads without a row. */
export function rowOfThread({ threads, team, subgroups }: Cut): string {
  return `
${team > 1 && subgroups ? '  own_lane = lane;\n  own_lanes = lanes;' : ''}
  let row = ${team === 1 ? `block * ${threads}u + thread` : 'block'};
  let place = ${team === 1 ? '0u' : 'thread'};
  if (row >= count) { return; }`;
}

/** What kernels that reduce rows have in common. */
export function rowShader(cut: Cut): Pick<SizedShader, 'threads' | 'perGroup' | 'shared' | 'subgroups' | 'functions'> {
  return {
    threads: cut.threads,
    perGroup: cut.team === 1 ? cut.threads : 1,
    ...(cut.team === 1 ? {} : { shared: { team: cut.team }, subgroups: cut.subgroups }),
    functions: rowFunctions(cut),
  };
}

/** `item` of a thread of a kernel that waits for nothing; ends threads without one. */
export function itemOfThread({ threads }: Cut): string {
  return `
  let item = block * ${threads}u + thread;
  if (item >= count) { return; }`;
}
