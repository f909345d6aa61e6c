/**
 * npm run golden -- <fixtures folder> [--models DIR] [--device webgpu|wasm|cpu] [--trunk fast|tfjs] [--weights f32|f16|q8|q4] [--keys f32|f16] [--activations f32|f16] [--brief]
 * Holds the engine against numbers made elsewhere (PyTorch, transformers, PEFT): one line a check with its largest error,
 * on every device this machine has. `--brief` leaves the real models out where they take minutes: on plain JavaScript and on
 * software adapters; `--trunk` chooses what decodes on webgpu. Exits 1 when a number is beyond its tolerance, 2 when the call makes no sense.
 */
import { existsSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openDevice, probeDevices, type Device } from '../../engine/device/open.ts';
import '../../engine/device/register.node.ts';
import { UserError } from '../../engine/errors.ts';
import { filesAt } from '../../engine/formats/folder.node.ts';
import { useTrunk, type TrunkKind } from '../../engine/model/choose-trunk.ts';
import type { ActivationPrecision, DeviceKind, KeyPrecision, WeightPrecision } from '../../engine/protocol.ts';
import { checkEstimators, checkLossTerms } from './estimators.ts';
import { openFixture, readRealFixture } from './fixture.node.ts';
import { checkGguf } from './gguf.ts';
import { checkPpo } from './ppo.ts';
import { checkReal, type RealFixture } from './real.ts';
import { checksFor, type Checks, type Tally } from './report.ts';
import { loadModel } from './subject.ts';
import { checkTiny } from './tiny.ts';

const USAGE =
  'npm run golden -- <fixtures folder> [--models DIR] [--device webgpu|wasm|cpu] [--trunk fast|tfjs] [--weights f32|f16|q8|q4] [--keys f32|f16] [--activations f32|f16] [--brief]';
const KINDS: readonly DeviceKind[] = ['webgpu', 'wasm', 'cpu'];
const TRUNKS: readonly TrunkKind[] = ['fast', 'tfjs'];
const REALS = ['f32', 'f16'] as const;
const WEIGHTS: readonly WeightPrecision[] = ['f32', 'f16', 'q8', 'q4'];

type Call = {
  readonly fixtures: string;
  readonly models: string;
  readonly devices: readonly DeviceKind[];
  readonly chosen: boolean;
  readonly brief: boolean;
  readonly trunk: TrunkKind;
  /** What the real models sample with. */
  readonly weights: WeightPrecision;
  readonly keys: KeyPrecision;
  readonly activations: ActivationPrecision;
};

function readCall(): Call {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      models: { type: 'string' },
      device: { type: 'string' },
      trunk: { type: 'string', default: 'fast' },
      weights: { type: 'string', default: 'f32' },
      keys: { type: 'string', default: 'f32' },
      activations: { type: 'string', default: 'f32' },
      brief: { type: 'boolean', default: false },
    },
  });
  if (positionals.length !== 1) throw new UserError(`Name one fixtures folder: ${USAGE}`);
  const fixtures = resolve(positionals[0]);
  if (!existsSync(fixtures)) throw new UserError(`There is no folder ${fixtures}`);
  const device = KINDS.find((kind) => kind === values.device);
  if (values.device !== undefined && device === undefined)
    throw new UserError(`There is no device ${values.device}; choose one of ${KINDS.join(', ')}`);
  const trunk = TRUNKS.find((kind) => kind === values.trunk);
  if (trunk === undefined) throw new UserError(`There is no trunk ${values.trunk}; choose one of ${TRUNKS.join(', ')}`);
  const weights = WEIGHTS.find((kind) => kind === values.weights);
  if (weights === undefined)
    throw new UserError(`There are no ${values.weights} weights; choose one of ${WEIGHTS.join(', ')}`);
  const keys = REALS.find((kind) => kind === values.keys);
  if (keys === undefined) throw new UserError(`There are no ${values.keys} keys; choose one of ${REALS.join(', ')}`);
  const activations = REALS.find((kind) => kind === values.activations);
  if (activations === undefined)
    throw new UserError(`There are no ${values.activations} activations; choose one of ${REALS.join(', ')}`);
  const halves = weights === 'f16' || keys !== 'f32' || activations !== 'f32';
  const takers = halves ? ['webgpu'] : ['webgpu', 'wasm'];
  const exact = weights === 'f32' && !halves;
  if (!exact && (device === undefined || !takers.includes(device) || trunk !== 'fast'))
    throw new UserError(
      `Only hand-written kernels sample with ${weights} weights, ${keys} keys and ${activations} activations; add --device ${takers.join(' or ')}`,
    );
  return {
    fixtures,
    models: resolve(values.models ?? `${fixtures}/../data/models`),
    devices: device ? [device] : KINDS,
    chosen: device !== undefined,
    brief: values.brief,
    trunk,
    weights,
    keys,
    activations,
  };
}

async function main(): Promise<number> {
  const call = readCall();
  useTrunk(call.trunk);
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  const print = (line: string) => console.log(line);
  await checkGguf(`${call.fixtures}/gguf`, checksFor('gguf', tally, print));
  await checkEstimators(`${call.fixtures}/estimators.safetensors`, checksFor('estimators', tally, print));
  const present = new Map((await probeDevices(false)).map((report) => [report.kind, report]));
  for (const kind of call.devices) {
    const { available, note } = present.get(kind)!;
    if (available) await checkDevice(kind, call, tally, print);
    else if (call.chosen) throw new UserError(`The device ${kind} cannot be opened here: ${note}`);
    else checksFor(kind, tally, print).skipped('everything', note);
  }
  print(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
  return tally.failed > 0 ? 1 : 0;
}

async function checkDevice(kind: DeviceKind, call: Call, tally: Tally, print: (line: string) => void): Promise<void> {
  const device = await openDevice(kind);
  print(`      ${kind}: ${device.info.name}`);
  try {
    await checkLossTerms(device.tf, `${call.fixtures}/estimators.safetensors`, checksFor(kind, tally, print));
    for (const name of folders(call.fixtures))
      await checkFolder(device.tf, `${call.fixtures}/${name}`, checksFor(`${kind} ${name}`, tally, print));
    const slow = kind === 'cpu' || device.info.software;
    for (const fixture of call.brief && slow ? [] : realFixtures(call.fixtures))
      await checkRealModel(device.tf, fixture, call, checksFor(`${kind} ${fixture.model}`, tally, print));
  } finally {
    await device.close();
  }
}

/** Folders that hold a model and what it should give. */
function folders(fixtures: string): string[] {
  return readdirSync(fixtures)
    .sort()
    .filter(
      (name) => existsSync(`${fixtures}/${name}/expected.safetensors`) && existsSync(`${fixtures}/${name}/config.json`),
    );
}

function realFixtures(fixtures: string): RealFixture[] {
  const names = readdirSync(fixtures)
    .sort()
    .filter((name) => name.endsWith('.json'));
  return names.map((name) => readRealFixture(`${fixtures}/${name}`)).filter((fixture) => fixture !== null);
}

async function checkRealModel(
  tf: Device['tf'],
  fixture: RealFixture,
  { models, weights, keys, activations }: Call,
  checks: Checks,
): Promise<void> {
  const folder = `${models}/${fixture.model}`;
  if (!existsSync(folder)) return checks.skipped('everything', `no ${folder}; name the folder with --models`);
  const base = await loadModel(await filesAt(folder));
  await checkReal(tf, base, fixture.cases, { rollout: weights, keys, activations }, checks);
  base.dispose();
}

async function checkFolder(tf: Device['tf'], folder: string, checks: Checks): Promise<void> {
  const base = await loadModel(await filesAt(folder));
  await checkTiny(tf, base, (await openFixture(`${folder}/expected.safetensors`))!, checks);
  const step = await openFixture(`${folder}/ppo_step.safetensors`);
  if (step !== null && existsSync(`${folder}/adapter`))
    await checkPpo(tf, base, await filesAt(`${folder}/adapter`), step, checks);
  else checks.skipped('PPO step', `no ${folder}/adapter or ppo_step.safetensors`);
  base.dispose();
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const misread = error instanceof TypeError && 'code' in error && `${error.code}`.startsWith('ERR_PARSE_ARGS');
    if (misread) console.error(`${error.message}\n${USAGE}`);
    else console.error(error instanceof UserError ? error.message : error);
    process.exit(misread || error instanceof UserError ? 2 : 1);
  },
);
