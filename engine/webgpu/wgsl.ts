/**
 * Writes WGSL from a description: constants, bindings and workgroup memory by name and type, so that a kernel's own text
 * is its arithmetic alone. Every shader has one entry point `main` that knows its workgroup (`group`) and its place in it
 * (`thread`), and one bind group whose entries stand in the order given.
 */

export type Element = 'f32' | 'vec2f' | 'vec4f' | 'f16' | 'vec2h' | 'vec4h' | 'u32' | 'vec2u' | 'vec4u' | 'i32';

export type Binding = { readonly name: string; readonly element: Element; readonly access: 'read' | 'read_write' };

export type Shader = {
  readonly bindings: readonly Binding[];
  /** Whole numbers, as u32. */
  readonly counts: Readonly<Record<string, number>>;
  /** Real numbers, as f32. */
  readonly numbers?: Readonly<Record<string, number>>;
  /** Workgroup memory: length of an f32 array by name. */
  readonly shared?: Readonly<Record<string, number>>;
  /** Threads of a workgroup. */
  readonly threads: number;
  readonly functions?: string;
  /** Whether `main` knows its subgroup (`lane` of `lanes`) and may hand numbers round in it. */
  readonly subgroups?: boolean;
  readonly main: string;
};

export const reads = (name: string, element: Element): Binding => ({ name, element, access: 'read' });
export const writes = (name: string, element: Element): Binding => ({ name, element, access: 'read_write' });

export function writeShader(shader: Shader): string {
  const entries = (record: Readonly<Record<string, number>> = {}): [string, number][] => Object.entries(record);
  const lanes = ', @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_size) lanes: u32';
  return [
    ...(shader.bindings.some(({ element }) => /^f16$|h$/.test(element)) ? ['enable f16;'] : []),
    ...(shader.subgroups ? ['enable subgroups;'] : []),
    ...shader.bindings.map(
      ({ name, element, access }, i) => `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${element}>;`,
    ),
    ...entries(shader.counts).map(([name, value]) => `const ${name} = ${whole(name, value)}u;`),
    ...entries(shader.numbers).map(([name, value]) => `const ${name} = ${real(name, value)}f;`),
    ...entries(shader.shared).map(([name, length]) => `var<workgroup> ${name}: array<f32, ${length}>;`),
    shader.functions ?? '',
    `@compute @workgroup_size(${shader.threads})`,
    `fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32${shader.subgroups ? lanes : ''}) {`,
    shader.main,
    '}',
  ].join('\n');
}

/** The same line for every index, the index standing for `#`. */
export function each(count: number, line: string): string {
  return Array.from({ length: count }, (_, i) => line.replaceAll('#', String(i))).join('\n');
}

function whole(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) throw new Error(`constant ${name} is ${value}`);
  return value;
}

function real(name: string, value: number): number {
  if (!Number.isFinite(value)) throw new Error(`constant ${name} is ${value}`);
  return value;
}
