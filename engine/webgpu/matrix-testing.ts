/**
 * Matrix units played by plain WGSL, for tests on adapters without: operands stay in workgroup memory, a loaded one is its
 * place there, and of a result every thread of a subgroup holds each `lanes`th number. So what surrounds the units (staging,
 * places, edges, turns) runs as it does on a GPU.
 */
import { matrixProductMemory, partsOf } from './kernels/product-matrix.ts';
import { ALL_FLOATS, type ProductElements } from './kernels/product-tiles.ts';
import type { MatrixUnit, MatrixWords } from './matrix-unit.ts';

const REST = '_rest';

/** lanes: threads of every subgroup here. */
export function playedWords(unit: MatrixUnit, lanes: number, elements: ProductElements = ALL_FLOATS): MatrixWords {
  const { m, n, k, half } = unit;
  const { threads, stride } = matrixProductMemory(unit);
  const own = (m * n) / lanes;
  const result = `array<f32, ${own}>`;
  const parts = partsOf(unit, elements);
  const read = (side: 'left' | 'right'): string => `
fn played_${side}(place: vec2u, at: u32) -> f32 {
  ${parts[side].length > 1 ? `if (place.y == 1u) { return f32(${side}${REST}[place.x + at]); }` : ''}
  return f32(${side}[place.x + at]);
}`;
  return {
    enables: half ? ['f16'] : [],
    declarations: `${read('left')}${read('right')}
fn played_add(all: ptr<function, ${result}>, x: vec2u, y: vec2u, lane: u32) {
  for (var i = 0u; i < turns(${own}u); i++) {
    let at = i * ${lanes}u + lane;
    for (var j = 0u; j < turns(${k}u); j++) {
      (*all)[i] += played_left(x, j * ${stride}u + at / ${n}u) * played_right(y, j * ${stride}u + at % ${n}u);
    }
  }
}
${parts.sums
  .map(
    (part) => `
fn played_store${part}(to: u32, all: ptr<function, ${result}>, lane: u32) {
  for (var i = 0u; i < turns(${own}u); i++) { sums${part}[to + i * ${lanes}u + lane] = (*all)[i]; }
}`,
  )
  .join('')}
`,
    subgroups: `  let subgroup = thread / lanes;\n  let subgroups = ${threads}u / lanes;`,
    type: (part) => (part === 'result' ? result : 'vec2u'),
    load: (_, from, at) => `vec2u(${at}, ${from.endsWith(REST) ? 1 : 0}u)`,
    store: (into, at, sum) => `played_store${into.endsWith(REST) ? REST : ''}(${at}, &${sum}, lane);`,
    addProduct: (sum, left, right) => `played_add(&${sum}, ${left}, ${right}, lane);`,
  };
}
