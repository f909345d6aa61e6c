/**
 * The product loop for prompts on a GPU, where rows are many: a workgroup stages 64 rows of x and of each matrix, 16 columns
 * at a time, in workgroup memory, and a thread takes 4 × 4 sums of each. Weights are unpacked once for 64 rows. Every sum runs
 * over the columns in order, so a row's bits do not depend on what else is in the step.
 */
import { fourAt, scaleAt } from '../weight-format.ts';
import { each } from '../wgsl.ts';
import type { Product } from './product-loop.ts';

/** Rows and outputs of a workgroup, its threads, and the columns staged at once. */
export const STAGED = 64;
export const STAGED_THREADS = 256;
const DEPTH = 16;
/** Padded, so that the transposing writes of neighbours fall into different banks. */
const STRIDE = STAGED + 4;

/** Workgroup memory for so many matrices. */
export function stagedShared(weights: readonly string[]): Record<string, number> {
  const size = DEPTH * STRIDE;
  return Object.fromEntries(['x', ...weights].map((name) => [`${name}_staged`, size]));
}

/** As `writeProduct`. */
export function writeStaged({ format, weights, limit, finish }: Product): string {
  const stage = (name: string, value: string): string =>
    `    { let v = ${value};\n${each(4, `      ${name}_staged[(4u * depth + #u) * ${STRIDE}u + own] = v[#];`)} }`;
  const scale = (w: string): string => (format.blocked ? scaleAt(w, limit, 'output', 'k') : '');
  return `
  let own = thread / 4u;
  let depth = thread % 4u;
  let top = thread / 16u * 4u;
  let left = thread % 16u * 4u;
  let input = min(firstRow + own, rowCount - 1u) * K4;
  let output = min(group.x * ${STAGED}u + own, ${limit - 1}u);
${weights.map((w) => each(4, `  var ${w}_# = vec4f();`)).join('\n')}
  for (var start = 0u; start < turns(K4); start += ${DEPTH / 4}u) {
    let k = min(start + depth, K4 - 1u);
${stage('x', 'select(vec4f(), vec4f(x[input + k]), start + depth < K4)')}
${weights.map((w) => stage(w, fourAt(format, w, 'output * ROW', 'k', scale(w)))).join('\n')}
    workgroupBarrier();
    for (var i = 0u; i < turns(${DEPTH}u); i++) {
      let at = i * ${STRIDE}u;
${each(4, '      let x# = x_staged[at + top + #u];')}
${weights.map(multiply).join('\n')}
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    let row = firstRow + top + i;
${weights.map((w) => `    let ${w}_sums = array<vec4f, 4>(${w}_0, ${w}_1, ${w}_2, ${w}_3)[i];`).join('\n')}
    for (var j = 0u; j < 4u; j++) {
      let n = group.x * ${STAGED}u + left + j;
      if (row < rowCount && n < ${limit}u) { ${finish('n', 'row', ...weights.map((w) => `${w}_sums[j]`))} }
    }
  }`;
}

/** Adds one column's products. */
function multiply(w: string): string {
  const four = [0, 1, 2, 3].map((c) => `${w}_staged[at + left + ${c}u]`).join(', ');
  return `      let ${w}_now = vec4f(${four});\n${each(4, `      ${w}_# = fma(vec4f(x#), ${w}_now, ${w}_#);`)}`;
}
