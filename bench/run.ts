/**
 * `npm run bench -- <suite>`: runs one suite of measurements and leaves its table on the terminal and its numbers in
 * bench/results. A suite is a file beside this one with a function `run(options)`.
 */
import { parseArgs } from 'node:util';
import { UserError } from '../engine/errors.ts';
import { benchCpu } from './cpu.ts';

const USAGE = `npm run bench -- cpu [--model FOLDER] [--devices wasm,wasm-stock,cpu] [--out FOLDER]

  cpu   decode and training tokens/s, matrix-product rates and memory on each CPU device`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: 'string' },
      devices: { type: 'string', default: 'wasm,wasm-stock,cpu' },
      out: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const suite = positionals[0];
  if (values.help || suite === undefined) return void console.log(USAGE);
  if (suite !== 'cpu') throw new UserError(`unknown suite "${suite}"; there is: cpu`);
  await benchCpu({ model: values.model, devices: values.devices.split(','), out: values.out });
}

main().catch((error: unknown) => {
  console.error(error instanceof UserError ? error.message : error);
  process.exitCode = 1;
});
