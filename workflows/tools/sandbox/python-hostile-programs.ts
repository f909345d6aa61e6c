/**
 * Python programs that try to outlive their limits, to get out, or to leave something behind, for the tests of every place
 * that runs Python; and the plain program that finds out whether they did. Each by a name that says what it tries.
 */

/** Programs without end. */
export const endless: Record<string, string> = {
  'a loop without end': 'while True: pass',
  'a loop over a generator without end': 'import itertools\nfor _ in itertools.count(): pass',
  'a generator that waits for itself': 'def g():\n  while True: yield 1\nfor _ in g(): pass',
  'a regular expression that explodes': 'import re\nre.match(r"(a+)+$", "a" * 60 + "b")',
  'backtracking over alternatives': 'import re\nre.match(r"(x|x|x|x)*y", "x" * 60)',
  'a sleep': 'import time\ntime.sleep(1000)',
  'an async loop': 'import asyncio\nasync def f():\n  while True: await asyncio.sleep(0)\nasyncio.run(f())',
  'a future that never settles': 'import asyncio\nasync def f(): await asyncio.Future()\nasyncio.run(f())',
  'a deadlock': 'import threading\nlock = threading.Lock()\nwhile not lock.acquire(blocking=False) or True: pass',
  'a comparison that never decides': 'class A:\n  def __lt__(self, other):\n    while True: pass\nsorted([A(), A()])',
  'a hash that never ends': 'class A:\n  def __hash__(self):\n    while True: pass\n{A()}',
  'a finalizer that never ends': 'class A:\n  def __del__(self):\n    while True: pass\nA()\nwhile True: pass',
  'an error whose text never ends': 'class E(Exception):\n  def __str__(self):\n    while True: pass\nraise E()',
  'an import hook that never ends':
    'import sys\nclass F:\n  def find_spec(self, *a):\n    while True: pass\nsys.meta_path.insert(0, F())\nimport x',
  'printing without end': 'while True: print("y" * 10000)',
  'finally after finally': 'def f():\n  try:\n    while True: pass\n  finally:\n    while True: pass\nf()',
  'a trace function': 'import sys\ndef t(*a): return t\nsys.settrace(t)\nwhile True: pass',
  'a quine of exec': 's = "exec(s)"\nwhile True:\n  try: exec(s)\n  except RecursionError: pass',
};

/** Programs that Python does not look up from to be interrupted: their thread is ended. */
export const deaf: Record<string, string> = {
  'a loop that throws away its interruption': 'while True:\n  try:\n    while True: pass\n  except BaseException: pass',
  'a sum inside C': 'sum(range(10 ** 12))',
};

/** Programs that fail by themselves. */
export const failing: Record<string, string> = {
  'recursion without end': 'def f(): return f() + 1\nf()',
  'recursion without a limit': 'import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(): return f() + 1\nf()',
  'recursion through repr': 'class A:\n  def __repr__(self): return repr(self)\nrepr(A())',
  'recursion through attributes': 'class A:\n  def __getattr__(self, n): return getattr(self, n + "x")\nA().a',
  'deeply nested source': 'eval("(" * 100000)',
  'deeply nested lists': 'import json\nx = []\nfor _ in range(100000): x = [x]\njson.dumps(x)',
  'a deeply nested regular expression': 'import re\nre.compile("(" * 10000 + ")" * 10000)',
  'a list that grows': 'x = []\nwhile True: x.append(" " * 1000000)',
  'a string that doubles': 's = "x"\nwhile True: s += s',
  'a large list': '[0] * 10 ** 9',
  'a large bytearray': 'bytearray(2 ** 31)',
  'a dict that grows': 'd = {}\ni = 0\nwhile True:\n  d[i] = bytearray(10000)\n  i += 1',
  'a huge number': 'x = 1 << (1 << 33)',
  'a huge number as text': 'str(10 ** 5000)',
  'a huge format': '"%2000000000d" % 1',
  'files outside': 'print(open("/etc/passwd").read())',
  'a path out of the root': 'print(open("/../../../../etc/passwd").read())',
  'the host’s root': 'import os\nos.listdir("/root")',
  'a new file': 'open("/tmp/x", "w").write("x")',
  'an append to the library': 'import glob\nf = open(glob.glob("/lib/python*.zip")[0], "ab")\nf.write(b"x")\nf.flush()',
  'a removed file': 'import glob, os\nos.remove(glob.glob("/lib/python*.zip")[0])',
  'a new folder': 'import os\nos.mkdir("/tmp/y")',
  'a link': 'import os\nos.symlink("/etc/passwd", "/tmp/z")',
  'a mount of the host': 'import pyodide_js\npyodide_js.mountNodeFS("/mnt", "/")',
  'a pipe': 'import os\nr, w = os.pipe()\nwhile True: os.write(w, b"x" * 1000000)',
  'a fork': 'import os\nos.fork()',
  'a command': 'import os\nassert os.system("id") == 0',
  'a popen': 'import os\nprint(os.popen("id").read())',
  'a child process': 'import subprocess\nprint(subprocess.check_output(["id"]))',
  'an exec': 'import os\nos.execv("/bin/sh", ["sh"])',
  'a kill': 'import os\nos.kill(os.getpid(), 9)\nos.abort()',
  'an exit of the process': 'import os\nos._exit(0)',
  'a crash': 'import faulthandler\nfaulthandler._sigsegv()',
  'a thread': 'import threading\nthreading.Thread(target=print).start()',
  processes: 'import multiprocessing\nmultiprocessing.Process(target=print).start()',
  'a socket': 'import socket\nsocket.socket().connect(("127.0.0.1", 80))',
  'a server': 'import socket\nsocket.socket().bind(("127.0.0.1", 0))',
  'a request': 'import urllib.request\nurllib.request.urlopen("http://127.0.0.1")',
  'a name lookup': 'import socket\nsocket.getaddrinfo("localhost", 80)',
  'Pyodide’s requests': 'from pyodide.http import open_url\nopen_url("http://127.0.0.1")',
  'the bridge': 'import js\njs.eval("1")',
  'the bridge’s own module': 'import pyodide_js\npyodide_js.loadPackage("x")',
  'JavaScript from text': 'from pyodide.code import run_js\nrun_js("1")',
  'the bridge behind the finder':
    'import sys\nsys.meta_path.pop(0)\nimport _pyodide_core\n_pyodide_core.create_proxy(len).constructor.constructor("return process")()',
  'the bridge from the machinery':
    'import _imp, importlib.machinery as m\nc = _imp.create_builtin(m.ModuleSpec("_pyodide_core", m.BuiltinImporter))\n_imp.exec_builtin(c)\nc.create_proxy(print)',
  'foreign functions': 'import ctypes\nctypes.CDLL(None)',
  'foreign functions behind the finder':
    'import sys\nsys.meta_path.pop(0)\nimport ctypes\nctypes.CDLL(None).emscripten_run_script(b"1")',
  'a library': 'import sys\nsys.meta_path.pop(0)\nimport _ctypes\n_ctypes.dlopen("/x.so", 0)',
  'a package from the network': 'import micropip',
  'broken bytecode':
    'f = lambda: 0\nf.__code__ = f.__code__.replace(co_code=bytes([255] * 64))\nf()\nraise SystemError("still here")',
  'a debugger': 'breakpoint()',
  'standard input': 'import sys\nprint(sys.stdin.readline())\ninput()',
  'a timer': 'import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\nsignal.alarm(1)\nraise OSError("no timer")',
};

/** Programs that end well and leave as much as they can behind. */
export const leaving: Record<string, string> = {
  globals: 'left = 1\nglobals()["left2"] = 2',
  'changed builtins': 'import builtins\nbuiltins.len = lambda x: 3\nbuiltins.print = None\ndel builtins.sorted',
  'changed modules':
    'import json, math, sys\njson.dumps = None\nmath.pi = 3\nsys.modules["re"] = None\nsys.path.clear()',
  'a changed runner':
    'import sys\nfor n in ("told", "line_of", "main"): sys._getframe(1).f_globals[n] = None\nsys.modules["_sandbox"].run = None',
  'changed streams':
    'import sys, os\nsys.stdout = None\nsys.stderr.detach()\nos.open("/dev/null", 0)\nos.chdir("/tmp")',
  'a changed environment':
    'import os, random, gc, sys\nos.environ["left"] = "1"\nrandom.seed(1)\ngc.disable()\nsys.setrecursionlimit(50)',
  'handlers for the end':
    'import atexit, signal\natexit.register(lambda: 1 / 0)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)',
  'an asyncio loop with work':
    'import asyncio\nloop = asyncio.new_event_loop()\nloop.call_later(0, print, "late")\nasyncio.set_event_loop(loop)',
  'objects with finalizers':
    'class A:\n  def __del__(self): print("left")\nleft = [A() for _ in range(10)]\nleft.append(left)',
  'memory it does not need any more': 'x = [bytearray(1000000) for _ in range(20)]\ndel x',
};

/** A plain program's way to see whether Python is as it was; what it prints is the same after every program. */
export const probe = `
import json, math, os, random, re, sys
names = [name for name in ('left', 'left2') if name in globals() or name in os.environ]
print(names, len('ab'), sorted([2, 1]), json.dumps([1]), round(math.pi, 2), re.sub('a', 'b', 'a'), os.getcwd(), sys.getrecursionlimit())
print(random.random())`;
export const probePrints = /^\[\] 2 \[1, 2\] \[1\] 3\.14 b \/ \d+\n0\.\d+$/;
