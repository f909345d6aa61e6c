/**
 * What Python itself does before the first program, written in Python because it runs inside the sandbox: hides Pyodide's
 * modules, gives `asyncio` a loop that needs no JavaScript, imports what programs use most, and leaves a module `_sandbox`
 * whose `run(program, test or None, data as JSON)` runs one program. What it prints goes to standard output; at the end
 * `run` writes "done", or "failed " and what went wrong, to standard error in one piece.
 */
export const pythonSetup = String.raw`
def _set_up():
    import asyncio, gc, json, os, sys, time, types
    import bisect, collections, copy, dataclasses, datetime, decimal, enum, fractions, functools, hashlib, heapq, io
    import itertools, math, operator, random, re, statistics, string, textwrap, typing
    from pyodide import webloop

    plain_sleep = webloop._orig_sleep

    def sleep(seconds):
        # In short steps, because an interruption is noticed between them.
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            plain_sleep(min(left, 0.01))

    class Selector:
        def select(self, timeout):
            sleep(timeout or 0)
            return []

        def close(self):
            pass

    class Loop(asyncio.BaseEventLoop):
        def __init__(self):
            super().__init__()
            self._selector = Selector()

        def _process_events(self, events):
            pass

        def _write_to_self(self):
            pass

    class Policy(asyncio.events._BaseDefaultEventLoopPolicy):
        _loop_factory = Loop

    time.sleep = sleep
    asyncio.run = asyncio.runners.run
    asyncio.events._set_event_loop_policy(Policy())
    asyncio.events._set_running_loop(None)

    gone = {'js', 'pyodide', 'pyodide_js', '_pyodide', '_pyodide_core', 'pyodide_js_api', 'ctypes', '_ctypes', 'micropip'}

    class Gone:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.partition('.')[0] in gone:
                raise ModuleNotFoundError(f"No module named {name!r} in the sandbox", name=name)
            return None

    for name in [name for name in sys.modules if name.partition('.')[0] in gone]:
        del sys.modules[name]
    sys.meta_path[:] = [Gone] + [each for each in sys.meta_path if type(each).__module__.partition('.')[0] not in gone]
    sys.path_hooks[:] = [each for each in sys.path_hooks if getattr(each, '__module__', '').partition('.')[0] not in gone]
    for name in ('breakpointhook', 'excepthook', 'displayhook'):
        setattr(sys, name, getattr(sys, '__' + name + '__'))

    files = ('program.py', 'test.py')
    main = sys.modules['__main__'].__dict__
    out = sys.stderr = sys.__stderr__ = sys.stdout
    verdict = os.write

    def line_of(error):
        if isinstance(error, SyntaxError) and error.filename in files:
            return f' ({error.filename[:-3]}, line {error.lineno})'
        line, step = '', error.__traceback__
        while step is not None:
            name = step.tb_frame.f_code.co_filename
            if name in files:
                line = f' ({name[:-3]}, line {step.tb_lineno})'
            step = step.tb_next
        return line

    def told(error):
        try:
            text = error.msg if isinstance(error, SyntaxError) else str(error)
        except BaseException:
            text = 'an error that cannot be shown'
        name = type(error).__name__
        return (f'{name}: {text}' if text else name)[:1000] + line_of(error)

    def finish(program, test):
        exec(compile(program, 'program.py', 'exec', dont_inherit=True), main)
        if test is not None:
            exec(compile(test, 'test.py', 'exec', dont_inherit=True), main)

    def ended(program, test, data):
        main['data'] = json.loads(data)
        try:
            finish(program, test)
        except SystemExit as left:
            if test is not None or left.code not in (None, 0):
                return told(left)
        except BaseException as thrown:
            return told(thrown)
        return None

    def run(program, test, data):
        error = ended(program, test, data)
        try:
            out.flush()
        except BaseException:
            pass
        verdict(2, b'done' if error is None else b'failed ' + error.encode('utf-8', 'replace'))

    module = types.ModuleType('_sandbox')
    module.run = run
    sys.modules['_sandbox'] = module
    main.pop('_set_up', None)
    random.seed(0)
    gc.collect()

_set_up()
`;
