/**
 * Products on a GPU's matrix units: a workgroup stages tiles as `product.ts` does, and its subgroups multiply them, 32 × 32 of
 * c each. Where units take halves only, a number is staged as two: itself as a half, and 2¹¹ times what that leaves, as
 * another; of the four products the one of both rests is too small to matter, and sums have the precision of f32. Of what
 * lies in memory as a half there is no rest.
 * Source: Ootomo & Yokota 2022, "Recovering single precision accuracy from Tensor Cores", section 3.
 */
import type { MatrixUnit, MatrixWords } from '../matrix-unit.ts';
import type { SizedShader } from '../sized-kernel.ts';
import {
  DEPTH,
  finishing,
  STAGED_PARTS,
  stagings,
  TILE,
  type Orientation,
  type ProductElements,
} from './product-tiles.ts';

/** Rows and columns of c that a subgroup takes at once, and how many such blocks a tile has. */
export const BLOCK = 32;
const BLOCKS = (TILE / BLOCK) ** 2;
/** Lines of a multiple of 16 bytes, which loads of matrices want; padded, they would not fit every device's memory. */
const STRIDE = TILE;
/** What the rest of a half is multiplied by before it becomes one. */
const REST_SCALE = 2048;

/** Subgroups of the largest size share the blocks; smaller ones take more or fewer turns. */
const threadsOf = ({ subgroup }: MatrixUnit): number => Math.min(256, BLOCKS * subgroup);

/** Threads, lengths of the arrays in workgroup memory and of a line of what is staged, and the bytes of all arrays. */
export function matrixProductMemory(
  unit: MatrixUnit,
): Record<'threads' | 'staged' | 'stride' | 'sums' | 'bytes', number> {
  const [staged, sums] = [DEPTH * STRIDE, BLOCKS * unit.m * unit.n];
  // Two halves are as long as one number.
  return {
    threads: threadsOf(unit),
    staged,
    stride: STRIDE,
    sums,
    bytes: 8 * staged + 4 * sums * (unit.half ? 2 : 1),
  };
}

/** As the other shaders of `product.ts`, whose sizes and bindings it has. */
export function matrixProduct(
  orientation: Orientation,
  unit: MatrixUnit,
  words: MatrixWords,
  elements: ProductElements,
): Pick<SizedShader, 'threads' | 'perGroup' | 'subgroups' | 'enables' | 'functions' | 'main'> {
  const parts = partsOf(unit, elements);
  return {
    ...{ threads: threadsOf(unit), perGroup: 1, subgroups: words.subgroups ? true : 'numbered' },
    enables: words.enables,
    functions: `${words.declarations}${memory(unit, parts)}${unit.half ? WHOLE : ''}${finishing(orientation, elements.c)}`,
    main: mainOf(orientation, unit, words, parts),
  };
}

/** The parts of a number that are staged of each operand, and in which sums are kept. */
type Parts = Readonly<Record<'left' | 'right' | 'sums', readonly string[]>>;

export function partsOf({ half }: MatrixUnit, { a, b }: ProductElements): Parts {
  const parts = (some: boolean): readonly string[] => (half && some ? ['', '_rest'] : ['']);
  const [left, right] = [a.bytes === 4, b.bytes === 4];
  return { left: parts(left), right: parts(right), sums: parts(left || right) };
}

function memory(unit: MatrixUnit, parts: Parts): string {
  const { staged, sums } = matrixProductMemory(unit);
  const arrays = { left: unit.half ? 'f16' : 'f32', right: unit.half ? 'f16' : 'f32', sums: 'f32' } as const;
  return (['left', 'right', 'sums'] as const)
    .flatMap((name) =>
      parts[name].map(
        (part) => `var<workgroup> ${name}${part}: array<${arrays[name]}, ${name === 'sums' ? sums : staged}>;`,
      ),
    )
    .join('\n');
}

/**
 * What a half holds of a number exactly, by cutting digits off: drivers take a number that is rounded to a half and back for
 * the number itself. Below 2⁻¹⁴ halves lie evenly, 2⁻²⁴ apart.
 */
const WHOLE = `
fn wholeOf(x: f32) -> f32 {
  let even = f32(i32(clamp(x, -1f, 1f) * 16777216f)) / 16777216f;
  return select(bitcast<f32>(bitcast<u32>(x) & 0xffffe000u), even, abs(x) < ${2 ** -14}f);
}
`;

/** Sums begin as written zeros: without, they went on from turn to turn on llvmpipe. */
function mainOf(orientation: Orientation, unit: MatrixUnit, words: MatrixWords, parts: Parts): string {
  const { m, n, half } = unit;
  const keep = (side: 'left' | 'right') => (at: string, value: string) =>
    parts[side].length > 1
      ? `{ let whole = wholeOf(${value}); ${side}[${at}] = f16(whole); ${side}_rest[${at}] = f16((${value} - whole) * ${REST_SCALE}f); }`
      : `${side}[${at}] = ${half ? 'f16' : 'f32'}(${value});`;
  const { left, right } = stagings(orientation, STRIDE, keep);
  const tiles = Array.from({ length: (BLOCK / m) * (BLOCK / n) }, (_, i) => ({
    ...{ name: `c${i}`, row: Math.floor((i * n) / BLOCK), column: i % (BLOCK / n) },
  }));
  return `
${words.subgroups ?? ''}
  let across = (n + ${TILE - 1}u) / ${TILE}u;
  let top = block / across * ${TILE}u;
  let start = block % across * ${TILE}u;
  for (var turn = 0u; turn < ${BLOCKS}u; turn += subgroups) {
    let own = min(turn + subgroup, ${BLOCKS - 1}u);
    let row = own / ${TILE / BLOCK}u * ${BLOCK}u;
    let column = own % ${TILE / BLOCK}u * ${BLOCK}u;
${tiles.flatMap(({ name }) => parts.sums.map((part) => `    var ${name}${part} = ${words.type('result')}();`)).join('\n')}
    for (var first = 0u; first < k; first += ${DEPTH}u) {
      workgroupBarrier();
      for (var part = thread; part < ${STAGED_PARTS}u; part += ${threadsOf(unit)}u) {
        {
${left}
        }
        {
${right}
        }
      }
      workgroupBarrier();
${Array.from({ length: DEPTH / unit.k }, (_, i) => step(unit, words, parts, i * unit.k)).join('\n')}
    }
${tiles.map((tile) => drain(unit, words, parts, tile)).join('\n')}
  }`;
}

/** Multiplies matrices `depth` deep in the tiles. */
function step(unit: MatrixUnit, words: MatrixWords, parts: Parts, depth: number): string {
  const { m, n } = unit;
  const [rows, columns] = [BLOCK / m, BLOCK / n];
  const at = (place: string, i: number, size: number): string => `${depth * STRIDE + i * size}u + ${place}`;
  const loads = [
    ...parts.right.flatMap((part) => Array.from({ length: columns }, (_, j) => `let r${j}${part} = ${words.load('right', `right${part}`, at('column', j, n), STRIDE)};`)), // prettier-ignore
    ...parts.left.flatMap((part) => Array.from({ length: rows }, (_, i) => `let l${i}${part} = ${words.load('left', `left${part}`, at('row', i, m), STRIDE)};`)), // prettier-ignore
  ];
  const adds = Array.from({ length: rows * columns }, (_, t) => {
    const [i, j] = [Math.floor(t / columns), t % columns];
    const whole = words.addProduct(`c${t}`, `l${i}`, `r${j}`);
    const rests = [
      ...parts.right.slice(1).map((part) => [`l${i}`, `r${j}${part}`] as const),
      ...parts.left.slice(1).map((part) => [`l${i}${part}`, `r${j}`] as const),
    ];
    return [whole, ...rests.map(([left, right]) => words.addProduct(`c${t}_rest`, left, right))].join(' ');
  });
  return `      {\n${[...loads, ...adds].map((line) => `        ${line}`).join('\n')}\n      }`;
}

type Tile = { readonly name: string; readonly row: number; readonly column: number };

/** Sums of one matrix by way of workgroup memory to c. */
function drain({ m, n }: MatrixUnit, words: MatrixWords, parts: Parts, { name, row, column }: Tile): string {
  const stores = parts.sums.map((part) => words.store(`sums${part}`, `own * ${m * n}u`, `${name}${part}`, n));
  return `    workgroupBarrier();
    if (turn + subgroup < ${BLOCKS}u) { ${stores.join(' ')} }
    workgroupBarrier();
    if (block < count && turn + subgroup < ${BLOCKS}u) {
      for (var i = lane; i < ${m * n}u; i += lanes) {
        let y = top + row + ${row * m}u + i / ${n}u;
        let x = start + column + ${column * n}u + i % ${n}u;
        let at = own * ${m * n}u + i;
        if (y < m && x < n) { finish(y, x, n, mode, alpha * ${parts.sums.length > 1 ? `(sums[at] + sums_rest[at] / ${REST_SCALE}f)` : 'sums[at]'}); }
      }
    }`;
}
