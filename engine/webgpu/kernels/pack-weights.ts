/**
 * Float32 weights to a packed matrix (see weight-format.ts), on the device, so that weights just trained are packed without
 * leaving it. A block that came from a GGUF file gives that file's own integers and scales again: q8 finds them as Q8_0
 * does, q4 takes of Q4_0's way and Q4_1's the one that comes closer.
 */
import { floatToHalf, halfTable } from '../../formats/half.ts';
import type { WeightPrecision } from '../../protocol.ts';
import { itemOfThread, sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { BLOCK4, formatOf, packedWords, rowBlocks, rowElements } from '../weight-format.ts';
import { reads, writes } from '../wgsl.ts';

/** Largest half float. */
const HALF_MOST = 65504;

export type PackedPrecision = Exclude<WeightPrecision, 'f32'>;

/**
 * An item is a block of a row. Rows of w become rows first … of a packed matrix of `rows` rows, each of k4 fours. Bindings:
 * w [.., 4 k4], packed.
 */
export function packKernel(precision: PackedPrecision, cut: Cut): SizedKernel {
  return sizedKernel(`pack to ${precision}`, {
    bindings: [reads('w', 'vec4f'), writes('packed', 'u32')],
    counts: { BLOCK4 },
    numbers: { HALF_MOST },
    sizes: ['k4', 'blocks', 'first', 'rows'],
    ...{ threads: cut.threads, perGroup: cut.threads },
    functions: FUNCTIONS,
    main: `${itemOfThread(cut)}
  let row = item / blocks;
  let begin = item % blocks * BLOCK4;
  let fours = min(BLOCK4, k4 - begin);
  var columns: array<vec4f, ${BLOCK4}>;
  for (var j = 0u; j < fours; j++) { columns[j] = clamp(w[row * k4 + begin + j], vec4f(-HALF_MOST), vec4f(HALF_MOST)); }
${BODIES[precision]}`,
  });
}

const FUNCTIONS = `
fn least(v: vec4f) -> f32 { return min(min(v.x, v.y), min(v.z, v.w)); }
fn most(v: vec4f) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn asHalf(x: f32) -> f32 { return unpack2x16float(pack2x16float(vec2f(x, 0f))).x; }
fn over(d: f32) -> f32 { return select(0f, 1f / d, d != 0f); }
fn near(v: vec4f, d: f32, m: f32) -> vec4u { return vec4u(clamp(floor((v - m) * over(d) + 0.5f), vec4f(), vec4f(15f))); }
fn missed(v: vec4f, d: f32, m: f32) -> f32 {
  let off = vec4f(near(v, d, m)) * d + m - v;
  return dot(off, off);
}`;

const BODIES: Readonly<Record<PackedPrecision, string>> = {
  f16: `
  for (var j = 0u; j < fours; j++) {
    let to = 2u * ((first + row) * k4 + begin + j);
    packed[to] = pack2x16float(columns[j].xy);
    packed[to + 1u] = pack2x16float(columns[j].zw);
  }`,
  q8: `
  var high = 0f;
  for (var j = 0u; j < fours; j++) { high = max(high, most(abs(columns[j]))); }
  let d = high / 127f;
  for (var j = 0u; j < fours; j++) {
    let q = vec4u(vec4i(clamp(round(columns[j] * over(d)), vec4f(-127f), vec4f(127f)))) & vec4u(255u);
    packed[(first + row) * k4 + begin + j] = q.x | (q.y << 8u) | (q.z << 16u) | (q.w << 24u);
  }
  packed[rows * k4 + (first + row) * blocks + begin / BLOCK4] = pack2x16float(vec2f(d, 0f));`,
  q4: `
  var low = columns[0].x;
  var high = low;
  for (var j = 0u; j < fours; j++) { low = min(low, least(columns[j])); high = max(high, most(columns[j])); }
  var d = asHalf((high - low) / 15f);
  var m = asHalf(low);
  let signed_d = asHalf(select(low, high, high > -low) / -8f);
  var off = 0f;
  var signed_off = 0f;
  for (var j = 0u; j < fours; j++) {
    off += missed(columns[j], d, m);
    signed_off += missed(columns[j], signed_d, -8f * signed_d);
  }
  if (signed_off <= off) { d = signed_d; m = -8f * d; }
  let row_words = (k4 + 1u) / 2u;
  for (var j = 0u; j < fours; j += 2u) {
    let a = near(columns[j], d, m);
    let b = near(columns[min(j + 1u, fours - 1u)], d, m);
    packed[(first + row) * row_words + (begin + j) / 2u] =
      a.x | (a.y << 4u) | (a.z << 8u) | (a.w << 12u) | (b.x << 16u) | (b.y << 20u) | (b.z << 24u) | (b.w << 28u);
  }
  packed[rows * row_words + (first + row) * blocks + begin / BLOCK4] = pack2x16float(vec2f(d, m));`,
};

const HALVES = halfTable();
const asHalf = (value: number): number => HALVES[floatToHalf(value)];

/** The same in plain loops, from scratch: what the packed weights stand for. w: [rows, columns], as is the result. */
export function roundedReference(precision: PackedPrecision, w: Float32Array, columns: number): Float32Array {
  const out = new Float32Array(w.length);
  for (let first = 0; first < w.length; first += columns)
    for (let at = 0; at < columns; at += 4 * BLOCK4) {
      const end = first + Math.min(columns, at + 4 * BLOCK4);
      out.set(roundedBlock(precision, w.subarray(first + at, end)), first + at);
    }
  return out;
}

function roundedBlock(precision: PackedPrecision, block: Float32Array): Float32Array {
  if (precision === 'f16') return block.map(asHalf);
  const [low, high] = [Math.min(...block), Math.max(...block)];
  if (precision === 'q8') {
    const d = Math.max(high, -low) / 127;
    return block.map((x) => (d === 0 ? 0 : asHalf(d) * Math.round(x / d)));
  }
  const nearest = (d: number, m: number): Float32Array =>
    block.map((x) => (d === 0 ? 0 : Math.min(15, Math.max(0, Math.floor((x - m) / d + 0.5)))) * d + m);
  const signed = asHalf((high > -low ? high : low) / -8);
  const ways = [nearest(asHalf((high - low) / 15), asHalf(low)), nearest(signed, -8 * signed)];
  const off = ways.map((way) => way.reduce((sum, x, i) => sum + (x - block[i]) ** 2, 0));
  return ways[off[1] <= off[0] ? 1 : 0];
}

/** What packed words stand for, read as the product kernels read them. // [rows, columns] */
export function unpackedReference(
  precision: PackedPrecision,
  packed: Uint32Array,
  rows: number,
  columns: number,
): Float32Array {
  const format = formatOf(precision);
  const [perRow, blocks] = [rowElements(format, columns), rowBlocks(columns)];
  if (packed.length !== packedWords(format, rows, columns)) throw new Error(`${packed.length} words of ${precision}`);
  const half = (word: number, high: boolean): number => HALVES[high ? word >>> 16 : word & 0xffff];
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const [row, k] = [Math.floor(i / columns), i % columns];
    if (precision === 'f16') return half(packed[(row * perRow + (k >> 2)) * 2 + ((k >> 1) & 1)], k % 2 === 1);
    const scale = packed[rows * perRow + row * blocks + Math.floor(k / (4 * BLOCK4))];
    if (precision === 'q8') return half(scale, false) * ((packed[row * perRow + (k >> 2)] << (24 - 8 * (k % 4))) >> 24);
    return half(scale, false) * ((packed[row * perRow + (k >> 3)] >>> (4 * (k % 8))) & 15) + half(scale, true);
  });
}
