/** Matrix products as calls of the product kernels. */
import type { Bound } from './gpu.ts';
import { productItems, productKernel } from './kernels/product.ts';
import { PRODUCT_MODE, type Orientation, type ProductMode } from './kernels/product-tiles.ts';
import type { MatrixWords } from './matrix-unit.ts';
import type { Recorder } from './recorder.ts';
import type { Cut, SizedKernel } from './sized-kernel.ts';

export type Products = Readonly<Record<Orientation, SizedKernel>> & { readonly cut: Cut };

export const products = (cut: Cut, words?: MatrixWords): Products => ({
  ...{
    cut,
    nn: productKernel('nn', cut, words),
    nt: productKernel('nt', cut, words),
    tn: productKernel('tn', cut, words),
  },
});

export type ProductSize = { readonly m: number; readonly n: number; readonly k: number; readonly alpha?: number };

/** c = alpha · op(a) op(b), and what `mode` says. */
export function recordProduct(
  recorder: Recorder,
  { cut, ...kernels }: Products,
  orientation: Orientation,
  { m, n, k, alpha = 1 }: ProductSize,
  [a, b, c]: readonly [Bound, Bound, Bound],
  mode: ProductMode = 'replace',
  addend: Bound | null = null,
): void {
  const kernel = kernels[orientation];
  const texels = (of: string): boolean =>
    kernel.bindings.some(({ name, access }) => name === of && access === 'texels');
  recorder.add(kernel, productItems(m, n, cut), { m, n, k, alpha, mode: PRODUCT_MODE[mode] }, [
    texels('a') ? { from: a, numbers: m * k } : a,
    texels('b') ? { from: b, numbers: n * k } : b,
    ...[addend, c],
  ]);
}
