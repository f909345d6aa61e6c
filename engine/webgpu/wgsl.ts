/**
 * Writes WGSL from a description: constants, bindings and workgroup memory by name and type, so that a kernel's own text
 * is its arithmetic alone. Every shader has one entry point `main` that knows its workgroup (`group`) and its place in it
 * (`thread`), and one bind group whose entries stand in the order given.
 */

import { TEXELS_ACROSS } from './texels.ts';

export type Element = 'f32' | 'vec2f' | 'vec4f' | 'f16' | 'vec2h' | 'vec4h' | 'u32' | 'vec2u' | 'vec4u' | 'i32';

/**
 * Of `texels`, which lie in a texture, a shader reads four numbers at a time. What has `windows` is read as uniforms: neighbouring
 * parts of one buffer, of so many elements each, an entry of the bind group and a variable each, `name_0`, `name_1`, ….
 */
export type Binding = {
  readonly name: string;
  readonly element: Element;
  readonly access: 'read' | 'read_write' | 'texels';
  readonly windows?: { readonly count: number; readonly elements: number };
};

/** Entries of the bind group that a binding takes. */
export const entriesOf = ({ windows }: Binding): number => windows?.count ?? 1;

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
  /** Whether `main` knows its place in its subgroup (`lane` of `lanes`) and may hand numbers round in it; numbered: and which one it is (`subgroup` of `subgroups`). */
  readonly subgroups?: boolean | 'numbered';
  /** Extensions of the language beside subgroups. */
  readonly enables?: readonly string[];
  readonly main: string;
};

export const reads = (name: string, element: Element): Binding => ({ name, element, access: 'read' });
export const writes = (name: string, element: Element): Binding => ({ name, element, access: 'read_write' });
export const texels = (name: string): Binding => ({ name, element: 'vec4f', access: 'texels' });
/** Of fours. */
export const inWindows = (name: string, count: number, elements: number): Binding => ({
  ...reads(name, 'vec4f'),
  windows: { count, elements },
});

/** The expression for four numbers of a binding of fours, as floats. */
export const fourOf = ({ name, access }: Binding, at: string): string =>
  access === 'texels' ? `${name}_at(${at})` : `vec4f(${name}[${at}])`;

export function writeShader(shader: Shader): string {
  const entries = (record: Readonly<Record<string, number>> = {}): [string, number][] => Object.entries(record);
  const { subgroups, enables = [] } = shader;
  const halves = shader.bindings.some(({ element }) => /^f16$|h$/.test(element));
  const lanes = ', @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_size) lanes: u32';
  const numbers = ', @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32';
  return [
    ...[...new Set([...(halves ? ['f16'] : []), ...(subgroups ? ['subgroups'] : []), ...enables])].map(
      (name) => `enable ${name};`,
    ),
    ...shader.bindings.flatMap(declared).map((variable, i) => `@group(0) @binding(${i}) ${variable}`),
    ...entries(shader.counts).map(([name, value]) => `const ${name} = ${whole(name, value)}u;`),
    ...entries(shader.numbers).map(([name, value]) => `const ${name} = ${real(name, value)}f;`),
    ...entries(shader.shared).map(([name, length]) => `var<workgroup> ${name}: array<f32, ${length}>;`),
    shader.functions ?? '',
    `@compute @workgroup_size(${shader.threads})`,
    `fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32${subgroups ? lanes : ''}${subgroups === 'numbered' ? numbers : ''}) {`,
    shader.main,
    '}',
  ].join('\n');
}

/** One declaration for each entry of the bind group. */
function declared({ name, element, access, windows }: Binding): string[] {
  if (windows)
    return Array.from(
      { length: windows.count },
      (_, i) => `var<uniform> ${name}_${i}: array<${element}, ${windows.elements}>;`,
    );
  if (access !== 'texels') return [`var<storage, ${access}> ${name}: array<${element}>;`];
  const place = `vec2u(i % ${TEXELS_ACROSS}u, i / ${TEXELS_ACROSS}u)`;
  return [
    `var ${name}: texture_2d<f32>;\nfn ${name}_at(i: u32) -> vec4f { return textureLoad(${name}, ${place}, 0); }`,
  ];
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
