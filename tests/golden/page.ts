/**
 * The tiny models' golden checks in a page, on its WebGPU and the hand-written kernels. Files come from the address that the
 * page is told; lines and the count of each outcome go back.
 */
import '../../engine/device/register.web.ts';
import { openDevice } from '../../engine/device/open.ts';
import type { FileSet } from '../../engine/protocol.ts';
import { readFixture } from './fixture.ts';
import { checkPpo } from './ppo.ts';
import { checksFor, type Tally } from './report.ts';
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

async function goldenChecks(address: string, model: string): Promise<PageResult> {
  const device = await openDevice('webgpu');
  const lines: string[] = [];
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  const checks = checksFor(model, tally, (line) => lines.push(line));
  const base = await loadModel(await fetched(address, ['config.json', 'generation_config.json', 'model.safetensors']));
  const expected = await fetched(address, ['expected.safetensors', 'ppo_step.safetensors']);
  const fixture = (name: string) => readFixture(name, expected[name]);
  await checkTiny(device.tf, base, await fixture('expected.safetensors'), checks);
  const adapter = await fetched(`${address}/adapter`, ['adapter_config.json', 'adapter_model.safetensors']);
  await checkPpo(device.tf, base, adapter, await fixture('ppo_step.safetensors'), checks);
  base.dispose();
  await device.close();
  return { device: device.info.name, lines, tally };
}

declare global {
  interface Window {
    goldenChecks: typeof goldenChecks;
  }
}
window.goldenChecks = goldenChecks;
