/**
 * Import once under Node: sandboxes run in worker threads that get no environment, no arguments and no standard streams.
 * From source the entry is TypeScript, which Node 20 cannot read, so the thread first registers tsx; from a bundle it is
 * plain JavaScript.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { registerSandboxHost, type SandboxThread } from './hosts.ts';

function start(entry: 'javascript.node' | 'python.node'): SandboxThread {
  const source = import.meta.url.endsWith('.ts');
  const file = new URL(`./${entry}.${source ? 'ts' : 'js'}`, import.meta.url);
  const shim = (): URL => {
    const tsx = import.meta.resolve('tsx/esm/api');
    const code = `import { register } from ${JSON.stringify(tsx)}; register(); await import(${JSON.stringify(file.href)});`;
    return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  };
  const worker = new Worker(source ? shim() : file, {
    env: {},
    argv: [],
    execArgv: [],
    stdin: true,
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: 256 },
  });
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    listen: (receive, ended) => {
      worker.on('message', receive);
      worker.on('error', (error) => ended(error instanceof Error ? error.message : String(error)));
      worker.on('exit', () => ended('its thread ended'));
    },
    hold: (busy) => (busy ? worker.ref() : worker.unref()),
    terminate: () => void worker.terminate(),
  };
}

registerSandboxHost({
  start: { javascript: () => start('javascript.node'), python: () => start('python.node') },
  cores: availableParallelism(),
});
