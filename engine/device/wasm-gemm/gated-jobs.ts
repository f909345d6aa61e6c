/**
 * The gated unit of a feed-forward layer and its gradients: y = g · s(g) · u with s the logistic function. Columns are a
 * multiple of 4. Source: Shazeer 2020, eq. 5.
 */
import { type Assembler, type Code, type Func, type Local, f32x4, get, i32, range, set, v128, when } from './emit.ts';
import { exp4 } from './elementwise.ts';
import { advance, rowsJob, splat } from './row-jobs.ts';

/** s(g) into `out`, from g in `g`; three scratch registers. exp(-g) may be infinite: then s is 0. */
function logistic(relaxed: boolean, g: Local, out: Local, t: Local, r: Local, n: Local): Code {
  return [
    set(t, f32x4.neg(get(g))),
    exp4(relaxed, t, r, n),
    set(out, f32x4.div(splat(1), f32x4.add(splat(1), get(t)))),
  ];
}

/** p0 g, p1 u, p2 y. */
export function gatedJob(module: Assembler, relaxed: boolean): Func {
  return rowsJob(module, ({ cols, rowOf, i32s, vectors }) => {
    const [j, pg, pu, py] = i32s(4);
    const [g, s, t, r, n] = vectors(5);
    return [
      set(pg, rowOf('p0')),
      set(pu, rowOf('p1')),
      set(py, rowOf('p2')),
      range(j, i32.of(0), get(cols), i32.of(4), [
        set(g, v128.load(get(pg))),
        logistic(relaxed, g, s, t, r, n),
        v128.store(get(py), f32x4.mul(f32x4.mul(get(g), get(s)), v128.load(get(pu)))),
        advance(pg, pu, py),
      ]),
    ];
  });
}

/** dg = dy·u·s·(1 + g·(1 - s)), du = dy·g·s. p0 g, p1 u, p2 dy, p3 dg, p4 du; an address of 0 leaves that one out. */
export function gatedGradJob(module: Assembler, relaxed: boolean): Func {
  return rowsJob(module, ({ word, cols, rowOf, i32s, vectors }) => {
    const [j, pg, pu, pdy, pdg, pdu] = i32s(6);
    const [g, s, t, r, n, dy] = vectors(6);
    return [
      set(pg, rowOf('p0')),
      set(pu, rowOf('p1')),
      set(pdy, rowOf('p2')),
      set(pdg, rowOf('p3')),
      set(pdu, rowOf('p4')),
      range(j, i32.of(0), get(cols), i32.of(4), [
        set(g, v128.load(get(pg))),
        set(dy, v128.load(get(pdy))),
        logistic(relaxed, g, s, t, r, n),
        when(word('p4'), v128.store(get(pdu), f32x4.mul(get(dy), f32x4.mul(get(g), get(s))))),
        when(
          word('p3'),
          v128.store(
            get(pdg),
            f32x4.mul(
              f32x4.mul(f32x4.mul(get(dy), v128.load(get(pu))), get(s)),
              f32x4.add(splat(1), f32x4.mul(get(g), f32x4.sub(splat(1), get(s)))),
            ),
          ),
        ),
        advance(pg, pu, pdy, pdg, pdu),
      ]),
    ];
  });
}
