/**
 * The gate between Python and JavaScript. All that a program in WebAssembly can do to its host is call its imports, so the
 * imports are the whole of what a Python program can reach. Pyodide needs them all to start; once it has, the gate is
 * closed: what reads the clock, memory and the files in memory stays, other system calls are refused with an error Python
 * knows, and everything else (the bridge to JavaScript, loading of libraries, foreign functions, shells) ends the run.
 */

export type Gate = { closed: boolean };

/** Thrown through Python where a program runs against the closed gate. */
export class Closed extends Error {}

/** "Operation not permitted" in WASI's numbering; system calls answer with the negative number. */
const notPermitted = -63;

const open = new Set(
  `_Py_CheckEmscriptenSignals_Helper _Py_emscripten_runtime _PyEM_TrampolineCall_JS JsvError_Check
   emscripten_date_now emscripten_get_now _tzset_js _timegm_js _mktime_js _localtime_js _gmtime_js clock_res_get
   clock_time_get random_get environ_get environ_sizes_get
   emscripten_resize_heap emscripten_get_heap_max _mmap_js _munmap_js _msync_js
   fd_close fd_read fd_write fd_sync fd_fdstat_get fd_seek fd_pread fd_pwrite
   __syscall_openat __syscall_fcntl64 __syscall_ioctl __syscall_faccessat __syscall_chdir __syscall_fchdir __syscall_getcwd
   __syscall_dup __syscall_dup3 __syscall_stat64 __syscall_lstat64 __syscall_fstat64 __syscall_newfstatat
   __syscall_getdents64 __syscall_readlinkat __syscall_getuid32_js`.split(/\s+/),
);

/** Replaces the imports of `module` by ones that obey the gate. */
export function gated(module: WebAssembly.Module, imports: WebAssembly.Imports, gate: Gate): WebAssembly.Imports {
  const made: WebAssembly.Imports = { ...imports };
  for (const name of ['env', 'wasi_snapshot_preview1']) made[name] = { ...imports[name] };
  for (const each of WebAssembly.Module.imports(module)) {
    if (each.kind !== 'function' || open.has(each.name)) continue;
    const call = imports[each.module][each.name];
    if (typeof call === 'function') made[each.module][each.name] = guard(each.name, call as Import, gate);
  }
  return made;
}

type Import = (...args: unknown[]) => unknown;

function guard(name: string, call: Import, gate: Gate): Import {
  const refused = name.startsWith('__syscall_') || name === '_emscripten_system';
  return (...args) => {
    if (!gate.closed) return call(...args);
    if (refused) return notPermitted;
    throw new Closed(`the program tried to leave Python (${name})`);
  };
}
