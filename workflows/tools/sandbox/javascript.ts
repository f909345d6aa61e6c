/**
 * JavaScript inside a sandbox thread: QuickJS compiled to WebAssembly, a new runtime for every program. A program reaches
 * nothing but the language and the prelude. Time is checked by QuickJS as it runs; memory is bounded where WebAssembly's
 * own memory grows, because QuickJS's accounting sees nothing of what this build allocates.
 */
import {
  newQuickJSWASMModuleFromVariant,
  Scope,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';
import { prelude } from './javascript-prelude.ts';
import { failed, outOfMemory, timedOut, type ProgramRequest, type Reply } from './program.ts';
import type { Runner } from './serve.ts';

/** Well below what overflows a worker thread's native stack, so that deep recursion is an error of the program. */
const stackBytes = 256 * 1024;
/** An engine that has grown beyond this is replaced after its run: WebAssembly memory never shrinks. */
const keepBytes = 48 * 2 ** 20;
/** Promise jobs run between two looks at the clock. */
const jobsAtOnce = 1_000;

export async function loadJavaScript(variant: QuickJSSyncVariant): Promise<Runner> {
  let engine: Engine | null = await newEngine(variant);
  return {
    interrupt: null,
    async run(request) {
      engine ??= await newEngine(variant);
      const run = new Run(engine, request);
      const reply = run.reply();
      if (!run.healthy || engine.module.getWasmMemory().buffer.byteLength > keepBytes) engine = null;
      return reply;
    },
  };
}

type Engine = { readonly module: QuickJSWASMModule; readonly bound: { bytes: number; hit: boolean } };

async function newEngine(variant: QuickJSSyncVariant): Promise<Engine> {
  const module = await newQuickJSWASMModuleFromVariant(variant);
  const bound = { bytes: Infinity, hit: false };
  const memory = module.getWasmMemory();
  memory.grow = (pages) => {
    if (memory.buffer.byteLength + pages * 65_536 <= bound.bytes)
      return WebAssembly.Memory.prototype.grow.call(memory, pages);
    bound.hit = true;
    throw new RangeError('over the limit');
  };
  return { module, bound };
}

class Run {
  /** Whether the engine may run another program. */
  healthy = true;
  private readonly engine: Engine;
  private readonly request: ProgramRequest;
  private readonly deadline: number;
  private readonly printed: string[] = [];

  constructor(engine: Engine, request: ProgramRequest) {
    this.engine = engine;
    this.request = request;
    this.deadline = performance.now() + request.limits.timeMs;
  }

  reply(): Reply {
    const { limits } = this.request;
    const { bound } = this.engine;
    Object.assign(bound, { bytes: limits.memoryBytes, hit: false });
    let error = this.play();
    if (error !== null && bound.hit) error = outOfMemory(limits);
    if (this.late()) error = timedOut(limits);
    const output = this.printed.join('').slice(0, limits.outputChars).replace(/\n$/, '');
    return error === null ? { ok: true, output, error, reusable: true } : failed(output, error, true);
  }

  private late(): boolean {
    return performance.now() > this.deadline;
  }

  /** What went wrong, or null. */
  private play(): string | null {
    try {
      const runtime = this.engine.module.newRuntime();
      runtime.setMaxStackSize(stackBytes);
      runtime.setInterruptHandler(() => this.late());
      const vm = runtime.newContext();
      const error = Scope.withScope((scope) => this.playIn(vm, scope));
      vm.dispose();
      runtime.dispose();
      return error;
    } catch (thrown) {
      // What comes through WebAssembly as an exception has left the engine in the middle of something.
      this.healthy = false;
      return thrown instanceof RangeError ? 'stack overflow: too deep a recursion' : 'the program broke its sandbox';
    }
  }

  private playIn(vm: QuickJSContext, scope: Scope): string | null {
    const { program, test, data, limits } = this.request;
    const write = vm.newFunction('write', (text) => void this.printed.push(vm.getString(text)));
    const make = scope.manage(vm.unwrapResult(vm.evalCode(prelude, 'prelude.js')));
    const given = [write, vm.newString(data), vm.newNumber(limits.outputChars)].map((each) => scope.manage(each));
    const ends = scope.manage(vm.unwrapResult(vm.callFunction(make, vm.undefined, ...given)));
    const describe = scope.manage(vm.getProp(ends, 'describe'));
    const tick = scope.manage(vm.getProp(ends, 'tick'));
    const told = (error: QuickJSHandle): string => {
      const text = vm.callFunction(describe, vm.undefined, scope.manage(error));
      if (!text.error) return text.value.consume((handle) => vm.getString(handle));
      text.error.dispose();
      return 'an error that cannot be shown';
    };
    const ended = (result: ReturnType<QuickJSContext['evalCode']>): string | null =>
      result.error ? told(result.error) : this.settle(vm, scope.manage(result.value), tick, told);
    const error = ended(vm.evalCode(program, 'program.js'));
    if (error !== null || test === null) return error;
    const evaluate = scope.manage(vm.getProp(ends, 'test'));
    return ended(vm.callFunction(evaluate, vm.undefined, scope.manage(vm.newString(test))));
  }

  /** Runs what the program left to do: promise jobs, then timers. */
  private settle(
    vm: QuickJSContext,
    value: QuickJSHandle,
    tick: QuickJSHandle,
    told: (error: QuickJSHandle) => string,
  ): string | null {
    do {
      while (vm.runtime.hasPendingJob()) {
        const done = vm.runtime.executePendingJobs(jobsAtOnce);
        if (done.error) return told(done.error);
        done.dispose();
        if (this.late()) return timedOut(this.request.limits);
      }
      const ticked = vm.callFunction(tick, vm.undefined);
      if (ticked.error) return told(ticked.error);
      if (!ticked.value.consume((handle) => vm.dump(handle) as boolean)) break;
    } while (!this.late());
    if (vm.typeof(value) !== 'object') return null;
    const state = vm.getPromiseState(value);
    if (state.type === 'rejected') return told(state.error);
    if (state.type === 'pending') return 'the program waits for a promise that nothing settles';
    if (state.notAPromise !== true) state.value.dispose();
    return null;
  }
}
