/**
 * Golden checks in a page, on its WebGPU and the hand-written kernels: of the tiny models everything, of a real one a short
 * stretch. Files come from the address that the page is told; lines and the count of each outcome go back.
 */
import '../../engine/device/register.web.ts';
import { openDevice, type Device } from '../../engine/device/open.ts';
import type { FileSet } from '../../engine/protocol.ts';
import { readFixture } from './fixture.ts';
import { checkPpo } from './ppo.ts';
import { checkReal, type RealCase } from './real.ts';
import { checksFor, type Checks, type Tally } from './report.ts';
import { loadModel } from './subject.ts';
import { checkTiny } from './tiny.ts';

export type PageResult = { readonly device: string; readonly lines: readonly string[]; readonly tally: Tally };

async function fetched(address: string, names: readonly string[]): Promise<FileSet> {
  const read = async (name: string): Promise<Uint8Array> => {
    const response = await fetch(`${address}/${name}`);
    if (!response.ok) throw new Error(`${address}/${name}: HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  };
  const entries = names.map(async (name) => [name, { kind: 'bytes', bytes: await read(name) }] as const);
  return Object.fromEntries(await Promise.all(entries));
}

const TOKENIZER = ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'];

async function onDevice(
  model: string,
  check: (tf: Device['tf'], checks: Checks) => Promise<void>,
): Promise<PageResult> {
  const device = await openDevice('webgpu');
  const lines: string[] = [];
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  await check(device.tf, checksFor(model, tally, (line) => lines.push(line))); // prettier-ignore
  await device.close();
  return { device: device.info.name, lines, tally };
}

async function goldenTiny(address: string, tf: Device['tf'], checks: Checks): Promise<void> {
  const base = await loadModel(await fetched(address, ['config.json', 'generation_config.json', 'model.safetensors']));
  const expected = await fetched(address, ['expected.safetensors', 'ppo_step.safetensors']);
  const fixture = (name: string) => readFixture(name, expected[name]);
  await checkTiny(tf, base, await fixture('expected.safetensors'), checks);
  const adapter = await fetched(`${address}/adapter`, ['adapter_config.json', 'adapter_model.safetensors']);
  await checkPpo(tf, base, adapter, await fixture('ppo_step.safetensors'), checks);
  base.dispose();
}

/** The first `tokens` of each case's continuation. */
async function goldenReal(
  address: string,
  { cases, tokens }: { readonly cases: readonly RealCase[]; readonly tokens: number },
  tf: Device['tf'],
  checks: Checks,
): Promise<void> {
  const names = ['config.json', 'generation_config.json', 'model.safetensors', ...TOKENIZER];
  const base = await loadModel(await fetched(address, names));
  await checkReal(tf, base, cases, { rollout: 'f32', keys: 'f32', activations: 'f32', tokens }, checks);
  base.dispose();
}

const goldenChecks = (address: string, model: string): Promise<PageResult> =>
  onDevice(model, (tf, checks) => goldenTiny(address, tf, checks));
const realChecks = (address: string, model: string, cases: readonly RealCase[], tokens: number): Promise<PageResult> =>
  onDevice(model, (tf, checks) => goldenReal(address, { cases, tokens }, tf, checks));

declare global {
  interface Window {
    goldenChecks: typeof goldenChecks;
    realChecks: typeof realChecks;
  }
}
Object.assign(window, { goldenChecks, realChecks });
