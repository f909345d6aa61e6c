/**
 * Matrix units of a GPU as WGSL reaches them: one size of matrices that a subgroup multiplies together, and the words for it.
 * The extension is Dawn's experiment (docs/dawn/features/subgroup_matrix.md), whose loads and stores changed once: the
 * layout was an argument, and is named in the template since. Which unit a device's products use is remembered here.
 */

/** result [m, n] += left [m, k] right [k, n] with f32 sums; operands are halves or f32. */
export type MatrixUnit = {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly half: boolean;
  /** Threads of the largest subgroup. */
  readonly subgroup: number;
  readonly layout: 'named' | 'argument';
};

type MatrixPart = 'left' | 'right' | 'result';

/** WGSL of one unit. Matrices lie in workgroup memory from `at` on, in lines of `stride`: left ones by column, others by row. */
export type MatrixWords = {
  readonly enables: readonly string[];
  /** Functions and types that a module declares first. */
  readonly declarations: string;
  /** Statements by which `main` knows its `subgroup` of `subgroups`, unless they are built in. */
  readonly subgroups: string | null;
  type(part: MatrixPart): string;
  load(part: 'left' | 'right', from: string, at: string, stride: number): string;
  /** The statement that stores the variable `sum`. */
  store(into: string, at: string, sum: string, stride: number): string;
  /** The statement that adds a product to the variable `sum`. */
  addProduct(sum: string, left: string, right: string): string;
};

export function matrixWords({ m, n, k, half, layout }: MatrixUnit): MatrixWords {
  const element = half ? 'f16' : 'f32';
  const types = {
    left: `subgroup_matrix_left<${element}, ${k}, ${m}>`,
    right: `subgroup_matrix_right<${element}, ${n}, ${k}>`,
    result: `subgroup_matrix_result<f32, ${n}, ${m}>`,
  };
  return {
    enables: ['chromium_experimental_subgroup_matrix', ...(half ? ['f16'] : [])],
    declarations: '',
    subgroups: null,
    type: (part) => types[part],
    load: (part, from, at, stride) =>
      layout === 'named'
        ? `subgroupMatrixLoad<${types[part]}, ${part === 'left' ? 'col_major' : 'row_major'}>(&${from}, ${at}, ${stride}u)`
        : `subgroupMatrixLoad<${types[part]}>(&${from}, ${at}, ${part === 'left'}, ${stride}u)`,
    store: (into, at, sum, stride) =>
      layout === 'named'
        ? `subgroupMatrixStore<row_major>(&${into}, ${at}, ${sum}, ${stride}u);`
        : `subgroupMatrixStore(&${into}, ${at}, ${sum}, false, ${stride}u);`,
    addProduct: (sum, left, right) => `${sum} = subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${sum});`,
  };
}

const chosen = new WeakMap<GPUDevice, MatrixUnit>();

/** What products on this device use, or null where they do without. */
export const chosenUnit = (device: GPUDevice): MatrixUnit | null => chosen.get(device) ?? null;

export function chooseUnit(device: GPUDevice, unit: MatrixUnit): void {
  chosen.set(device, unit);
}
