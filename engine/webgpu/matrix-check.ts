/**
 * Which matrix unit a device's products use, decided once when it opens: of the sizes that it offers and the kernel can use,
 * the first whose products on the device itself agree with those of the plain kernel, and only where it is faster than
 * without. So a driver that computes wrongly, or an extension that changed its words, costs speed and nothing else.
 */
import * as tf from '@tensorflow/tfjs';
import type { Gpu } from './gpu.ts';
import { BLOCK, matrixProductMemory } from './kernels/product-matrix.ts';
import { DEPTH, type Orientation } from './kernels/product-tiles.ts';
import { chooseUnit, type MatrixUnit, type MatrixWords } from './matrix-unit.ts';
import { productRate } from './measure.ts';
import { products, recordProduct, type ProductSize } from './record-product.ts';
import { Recorder } from './recorder.ts';
import { cutFor, GPU_CUT, SOFTWARE_CUT, type Cut } from './sized-kernel.ts';

const FEATURE = 'chromium-experimental-subgroup-matrix';

/** One size as the adapter tells it. Not in the types of WebGPU yet. */
type Offered = Readonly<Record<'componentType' | 'resultType', string>> & Readonly<Record<'M' | 'N' | 'K', number>>;

/** Units of this device that the kernel can use: such that round nothing first, then larger ones. */
export function usableUnits(device: Pick<GPUDevice, 'features' | 'limits' | 'adapterInfo'>): MatrixUnit[] {
  const features: ReadonlySet<string> = device.features;
  const { subgroupMatrixConfigs = [], subgroupMaxSize: subgroup } = device.adapterInfo as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: Iterable<Offered>;
  };
  if (!features.has(FEATURE) || !features.has('subgroups')) return [];
  return [...subgroupMatrixConfigs]
    .filter(({ componentType, resultType, M, N, K }) => {
      const known = componentType === 'f32' || (componentType === 'f16' && features.has('shader-f16'));
      return known && resultType === 'f32' && BLOCK % M === 0 && BLOCK % N === 0 && DEPTH % K === 0;
    })
    .flatMap(({ componentType, M, N, K }) =>
      (['named', 'argument'] as const).map((layout) => ({
        ...{ m: M, n: N, k: K, half: componentType === 'f16', subgroup, layout },
      })),
    )
    .filter((unit) => fits(unit, device.limits))
    .sort((x, y) => Number(x.half) - Number(y.half) || y.m * y.n * y.k - x.m * x.n * x.k);
}

function fits(unit: MatrixUnit, limits: GPUSupportedLimits): boolean {
  const { threads, bytes } = matrixProductMemory(unit);
  const most = Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
  return threads % unit.subgroup === 0 && threads <= most && bytes <= limits.maxComputeWorkgroupStorageSize;
}

const notes = new WeakMap<GPUDevice, string>();

/** What was decided for a device that offers matrix units, as the end of a sentence about it. */
export const matrixNote = ({ device }: Gpu): string | null => notes.get(device) ?? null;

export async function decideMatrixUnit(gpu: Gpu): Promise<void> {
  const { device } = gpu;
  if (gpu.software || !(device.features as ReadonlySet<string>).has(FEATURE)) return;
  let why = 'the kernel knows none of their sizes';
  for (const unit of usableUnits(device)) {
    const cut = { ...GPU_CUT, matrix: unit };
    const name = `${unit.half ? 'half' : 'f32'} ${unit.m} × ${unit.n} × ${unit.k}`;
    const fault = await faultOf(gpu, cut);
    if (fault) {
      why = `${name} ${fault}`;
      continue;
    }
    const [plain, matrix] = [await productRate(gpu, cutFor(gpu)), await productRate(gpu, cut)];
    const rates = `${matrix.toFixed(0)} GFLOP/s with them, ${plain.toFixed(0)} without`;
    if (matrix > plain) {
      chooseUnit(device, unit);
      notes.set(device, `multiplies on its matrix units (${name}; ${rates})`);
      return;
    }
    why = `${name} are slower (${rates})`;
  }
  notes.set(device, `leaves its matrix units alone: ${why}`);
}

type Probe = ProductSize & { readonly orientation: Orientation; readonly scale: number };

/** No edge falls on one of a matrix; gradients are small numbers, in which halves have few digits. */
const PROBES: readonly Probe[] = [
  { orientation: 'nt', m: 71, n: 133, k: 36, scale: 1 },
  { orientation: 'nt', m: 9, n: 66, k: 100, scale: 1e-4 },
  { orientation: 'nn', m: 67, n: 140, k: 52, scale: 1 },
  { orientation: 'tn', m: 76, n: 132, k: 37, scale: 1e-4 },
];
/** Of the largest number; halves alone are off by more. */
const TOLERANCE = 1e-4;

/** Null where products with this cut agree with the plain ones, else what is wrong with them. */
export async function faultOf(gpu: Gpu, cut: Cut, words?: MatrixWords): Promise<string | null> {
  const { device } = gpu;
  const [plain, own] = [products(SOFTWARE_CUT), products(cut, words)];
  const recorder = new Recorder(gpu);
  device.pushErrorScope('validation');
  device.pushErrorScope('internal');
  let worst = 0;
  for (const { orientation, m, n, k, scale } of PROBES) {
    const tensors = [m * k, k * n].map((size, i) => tf.randomUniform([size], -1, 1, 'float32', i + 1));
    const a = tf.mul(tensors[0], scale);
    const [x, y] = [plain, own].map((kernels) => {
      const c = gpu.allocate<tf.Tensor1D>([m * n]);
      const operands = [a, tensors[1], c].map((tensor) => gpu.bufferOf(tensor));
      recordProduct(recorder, kernels, orientation, { m, n, k }, [operands[0], operands[1], operands[2]]);
      return c;
    });
    recorder.submit();
    worst = Math.max(worst, relative(await x.data(), await y.data()));
    tf.dispose([...tensors, a, x, y]);
  }
  recorder.dispose();
  const errors = [await device.popErrorScope(), await device.popErrorScope()];
  const error = errors.find((one) => one !== null);
  if (error) return `do not run: ${error.message.split('\n')[0]}`;
  return worst < TOLERANCE ? null : `are off by ${worst.toPrecision(2)} of the largest number`;
}

/** Infinite where a number is none. */
function relative(wanted: ArrayLike<number>, got: ArrayLike<number>): number {
  let [largest, worst] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    const off = Math.abs(got[i] - wanted[i]);
    if (!Number.isFinite(off)) return Infinity;
    largest = Math.max(largest, Math.abs(wanted[i]));
    worst = Math.max(worst, off);
  }
  return worst / largest;
}
