/** A helper thread's whole life in a browser: take the module and the shared memory, then serve until told to quit. */
import type { KernelExports } from './module.ts';
import type { HelperStart } from './threads.ts';

addEventListener('message', (event: MessageEvent<HelperStart>) => {
  const { module, memory, control, scratch } = event.data;
  const { exports } = new WebAssembly.Instance(module, { e: { memory } });
  (exports as unknown as KernelExports).serve(control, scratch);
});
