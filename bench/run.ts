/**
 * `npm run bench -- <suite>`: runs one suite of measurements and leaves its table on the terminal and its numbers in
 * bench/results. A suite is a file beside this one with a function `run(options)`.
 */
import { parseArgs } from 'node:util';
import { UserError } from '../engine/errors.ts';
import { benchCpu } from './cpu.ts';
import { benchDecode } from './decode.ts';
import { benchKernels } from './kernels.ts';
import { benchTrain } from './train.ts';

const USAGE = `npm run bench -- cpu [--model FOLDER] [--devices wasm,wasm-stock,cpu] [--out FOLDER]
npm run bench -- decode|kernels|train [--device webgpu] [--weights f16,q8,q4] [--json] [--out FOLDER]
npm run bench -- ui [--minutes 30] [--json] [--out FOLDER]

  cpu      decode and training tokens/s, matrix-product rates and memory on each CPU device
  decode   tokens/s of the hand-written WebGPU trunk and of the plain tfjs trunk, side by side on one adapter;
           with --weights also on weights less exact than float32
  kernels  its single kernels against the tfjs operations they replace
  ui       the screens with 500 nodes, 100,000 traces, 2,000 records and 20 runs; memory over a session of so many minutes
  train    a LoRA step and the matrix products of hand-written kernels and of plain tfjs, side by side

npm run pack-bench -- FOLDER puts decode, kernels and train into one folder for a machine without a package registry:
node FOLDER/run.mjs decode`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: 'string' },
      devices: { type: 'string', default: 'wasm,wasm-stock,cpu' },
      device: { type: 'string', default: 'webgpu' },
      weights: { type: 'string', default: 'f32' },
      minutes: { type: 'string', default: '30' },
      json: { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const suite = positionals[0];
  if (values.help || suite === undefined) return void console.log(USAGE);
  switch (suite) {
    case 'cpu':
      return benchCpu({ model: values.model, devices: values.devices.split(','), out: values.out });
    case 'decode':
      return benchDecode({
        device: values.device,
        weights: values.weights.split(','),
        json: values.json,
        out: values.out,
      });
    case 'kernels':
      return benchKernels({ device: values.device, json: values.json, out: values.out });
    case 'train':
      return benchTrain({ device: values.device, json: values.json, out: values.out });
    case 'ui':
      // It brings a browser and a bundler, which the packed folder leaves out.
      return (await import('./ui.ts')).benchUi({ minutes: Number(values.minutes), json: values.json, out: values.out });
    default:
      throw new UserError(`unknown suite "${suite}"; there are: cpu, decode, kernels, train, ui`);
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof UserError ? error.message : error);
  process.exitCode = 1;
});
