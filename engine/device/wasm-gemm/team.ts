/**
 * How threads share one job, in WebAssembly. A job is cut into pieces; every thread, the caller's too, takes the next
 * piece until none is left. The control block lies in the shared memory: what the caller writes (arguments, job, count
 * of pieces finished) is complete before the number of pieces is published, so a thread that wakes late either finds
 * nothing or a whole job. Idle threads spin for some microseconds and then sleep.
 */
import {
  type Assembler,
  type Code,
  type Func,
  type Local,
  atomic,
  call,
  doWhile,
  drop,
  get,
  i32,
  leave,
  set,
  tee,
  when,
  whileLoop,
} from './emit.ts';

/** Byte offsets in the control block; the counters that threads contend for stand on their own cache lines. */
export const CONTROL = {
  pieces: 0,
  finished: 64,
  generation: 128,
  sleepers: 132,
  quit: 136,
  waiting: 140,
  job: 192,
  args: 256,
} as const;
export const CONTROL_BYTES = 1024;

/** Loads of an idle thread before it sleeps: some 20 to 40 microseconds, the pause between two kernels of a model. */
const IDLE_SPINS = 20_000;
/** Loads of the caller before it sleeps until the last piece is done; helpers may have been put off their processor. */
const FINISH_SPINS = 20_000;

/** Exports `run(control, scratch, pieces, threads)` for the caller and, on shared memory, `serve(control, scratch)`. */
export function teamFunctions(module: Assembler, jobs: readonly Func[], shared: boolean): void {
  const perform = module.func(null, ['i32', 'i32', 'i32'], null, (scope) => {
    const [control, scratch, piece] = scope.args as [Local, Local, Local];
    const args = i32.add(get(control), i32.of(CONTROL.args));
    return jobs.map((job, i) =>
      when(i32.eq(i32.load(get(control), CONTROL.job), i32.of(i)), call(job, args, get(scratch), get(piece))),
    );
  });
  module.func('runAlone', ['i32', 'i32', 'i32'], null, (scope) => {
    const [control, scratch, pieces] = scope.args as [Local, Local, Local];
    return whileLoop(get(pieces), [
      set(pieces, i32.sub(get(pieces), i32.of(1))),
      call(perform, get(control), get(scratch), get(pieces)),
    ]);
  });
  if (shared) sharedFunctions(module, perform);
}

const address = (control: Local, offset: number): Code => i32.add(get(control), i32.of(offset));

function sharedFunctions(module: Assembler, perform: Func): void {
  /** Takes pieces until none is left. */
  const takePieces = module.func(null, ['i32', 'i32'], null, (scope) => {
    const [control, scratch] = scope.args as [Local, Local];
    const left = scope.local('i32');
    const take = tee(left, atomic.sub(get(control), i32.of(1), CONTROL.pieces));
    return whileLoop(i32.gtSigned(take, i32.of(0)), [
      call(perform, get(control), get(scratch), i32.sub(get(left), i32.of(1))),
      drop(atomic.add(get(control), i32.of(1), CONTROL.finished)),
      when(
        atomic.load(get(control), CONTROL.waiting),
        drop(atomic.notify(address(control, CONTROL.finished), i32.of(1))),
      ),
    ]);
  });
  module.func('run', ['i32', 'i32', 'i32'], null, (scope) => {
    const [control, scratch, pieces] = scope.args as [Local, Local, Local];
    const [seen, spins] = [scope.local('i32'), scope.local('i32')];
    const unfinished = i32.ne(atomic.load(get(control), CONTROL.finished), get(pieces));
    return [
      atomic.store(get(control), i32.of(0), CONTROL.finished),
      atomic.store(get(control), get(pieces), CONTROL.pieces),
      drop(atomic.add(get(control), i32.of(1), CONTROL.generation)),
      when(
        atomic.load(get(control), CONTROL.sleepers),
        drop(atomic.notify(address(control, CONTROL.generation), i32.of(-1))),
      ),
      call(takePieces, get(control), get(scratch)),
      set(spins, i32.of(FINISH_SPINS)),
      doWhile([set(spins, i32.sub(get(spins), i32.of(1)))], i32.and(i32.ne(get(spins), i32.of(0)), unfinished)),
      when(unfinished, [
        atomic.store(get(control), i32.of(1), CONTROL.waiting),
        whileLoop(
          i32.ne(tee(seen, atomic.load(get(control), CONTROL.finished)), get(pieces)),
          drop(atomic.wait(address(control, CONTROL.finished), get(seen))),
        ),
        atomic.store(get(control), i32.of(0), CONTROL.waiting),
      ]),
    ];
  });

  module.func('serve', ['i32', 'i32'], null, (scope) => {
    const [control, scratch] = scope.args as [Local, Local];
    const [seen, spins] = [scope.local('i32'), scope.local('i32')];
    const idle = i32.ltSigned(atomic.load(get(control), CONTROL.pieces), i32.of(1));
    return doWhile(
      [
        call(takePieces, get(control), get(scratch)),
        when(atomic.load(get(control), CONTROL.quit), leave),
        set(spins, i32.of(IDLE_SPINS)),
        doWhile([set(spins, i32.sub(get(spins), i32.of(1)))], i32.and(i32.ne(get(spins), i32.of(0)), idle)),
        drop(atomic.add(get(control), i32.of(1), CONTROL.sleepers)),
        set(seen, atomic.load(get(control), CONTROL.generation)),
        when(
          i32.and(idle, i32.eqz(atomic.load(get(control), CONTROL.quit))),
          drop(atomic.wait(address(control, CONTROL.generation), get(seen))),
        ),
        drop(atomic.sub(get(control), i32.of(1), CONTROL.sleepers)),
      ],
      i32.of(1),
    );
  });
}
