/**
 * The frame of a job: a function that every thread of the team calls with the address of the job's arguments, scratch memory
 * of its own, and which piece of the work is next.
 */
import { type Assembler, type Code, type Func, type Local, type Scope, get, i32 } from './emit.ts';

/** So many locals, to be named by a destructuring. */
export type Locals<N extends number, Made extends Local[] = []> = number extends N
  ? Local[]
  : Made['length'] extends N
    ? Made
    : Locals<N, [...Made, Local]>;

export type JobScope<Name extends string> = {
  /** Address of the arguments. */
  readonly args: Local;
  readonly scratch: Local;
  readonly piece: Local;
  /** An argument that is an i32. */
  word(name: Name): Code;
  i32s<N extends number>(count: N): Locals<N>;
  vectors<N extends number>(count: N): Locals<N>;
  floats<N extends number>(count: N): Locals<N>;
};

/** `offsets`: where each argument stands, in bytes. */
export function job<Name extends string>(
  module: Assembler,
  offsets: Readonly<Record<Name, number>>,
  body: (scope: JobScope<Name>) => Code,
): Func {
  return module.func(null, ['i32', 'i32', 'i32'], null, (scope) => {
    const [args, scratch, piece] = scope.args as [Local, Local, Local];
    return body({
      ...{ args, scratch, piece },
      word: (name) => i32.load(get(args), offsets[name]),
      i32s: (count) => locals(scope, 'i32', count),
      vectors: (count) => locals(scope, 'v128', count),
      floats: (count) => locals(scope, 'f32', count),
    });
  });
}

function locals<N extends number>(scope: Scope, type: Local['type'], count: N): Locals<N> {
  return Array.from({ length: count }, () => scope.local(type)) as Locals<N>;
}
