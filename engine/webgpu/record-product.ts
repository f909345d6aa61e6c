/** Matrix products as calls of the product kernels. */
import type { Bound } from './gpu.ts';
import { productItems, productKernel } from './kernels/product.ts';
import {
  ALL_FLOATS,
  PRODUCT_MODE,
  type Orientation,
  type ProductElements,
  type ProductMode,
} from './kernels/product-tiles.ts';
import type { MatrixWords } from './matrix-unit.ts';
import { operand, type Recorder } from './recorder.ts';
import type { Cut, SizedKernel } from './sized-kernel.ts';

export type Products = { readonly cut: Cut; kernel(orientation: Orientation, elements: ProductElements): SizedKernel };

/** Each is written when it is first asked for. */
export function products(cut: Cut, words?: MatrixWords): Products {
  const written = new Map<string, SizedKernel>();
  const kernel = (orientation: Orientation, elements: ProductElements): SizedKernel => {
    const { a, b, c } = elements;
    const key = [orientation, a.bytes, b.bytes, c.bytes].join(' ');
    const one = written.get(key) ?? productKernel(orientation, cut, words, elements);
    written.set(key, one);
    return one;
  };
  return { cut, kernel };
}

export type ProductSize = { readonly m: number; readonly n: number; readonly k: number; readonly alpha?: number };

/** c = alpha · op(a) op(b), and what `mode` says. */
export function recordProduct(
  recorder: Recorder,
  { cut, kernel: kernelOf }: Products,
  orientation: Orientation,
  { m, n, k, alpha = 1 }: ProductSize,
  [a, b, c]: readonly [Bound, Bound, Bound],
  mode: ProductMode = 'replace',
  addend: Bound | null = null,
  elements: ProductElements = ALL_FLOATS,
): void {
  const kernel = kernelOf(orientation, elements);
  recorder.add(kernel, productItems(m, n, cut), { m, n, k, alpha, mode: PRODUCT_MODE[mode] }, [
    operand(kernel, 'a', a, m * k, elements.a.bytes),
    operand(kernel, 'b', b, n * k, elements.b.bytes),
    ...[addend, c],
  ]);
}
