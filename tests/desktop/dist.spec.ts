/**
 * The packed application: made by one command, it starts, trains the bundled team, survives `kill -9` in mid-run and takes
 * the run up again. It has its fuses burnt, holds no source and looks for no updates.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FuseV1Options, getCurrentFuseWire } from '@electron/fuses';
import { chromium, expect, test, type Page } from '@playwright/test';
import { words } from '../../renderer/words.ts';
import { root, startProgram, type Program } from '../program.ts';
import { asRoot, attached } from './window.ts';

const unpacked = join(root, 'dist/installers/linux-unpacked');

type Started = { program: Program; page: Page; kill(): Promise<void> };

async function start(folder: string): Promise<Started> {
  const env = { TROUPE_WORKSPACE: join(folder, 'workspace'), TROUPE_PROFILE: join(folder, 'profile'), CI: '1' };
  const program = startProgram([...asRoot, '--remote-debugging-port=0'], env, join(unpacked, 'troupe'));
  const [, address] = await program.printed(/DevTools listening on (ws:\S+)/);
  const browser = await attached(() => chromium.connectOverCDP(address, { timeout: 20_000 }));
  const pages = (): Page[] => browser.contexts().flatMap((context) => context.pages());
  const shown = (): Page | undefined => pages().find((one) => one.url().includes('index.html'));
  await expect.poll(() => shown() !== undefined, { timeout: 60_000 }).toBe(true);
  const kill = async (): Promise<void> => {
    const ended = new Promise((settle) => program.child.once('close', settle));
    process.kill(-program.child.pid!, 'SIGKILL');
    await ended;
    await browser.close().catch(() => {});
  };
  return { program, page: shown()!, kill };
}

async function stepsWritten(folder: string): Promise<number> {
  const runs = join(folder, 'workspace/runs');
  const [run] = existsSync(runs) ? await readdir(runs) : [];
  const text = run ? await readFile(join(runs, run, 'metrics.jsonl'), 'utf8').catch(() => '') : '';
  return text.split('\n').filter((line) => line !== '').length - 1;
}

test('the packed application trains, is killed, and goes on', async () => {
  test.skip(process.platform !== 'linux', 'the unpacked Linux application is made on Linux');
  test.setTimeout(1_200_000);
  const made = startProgram(['scripts/dist.mjs', '--linux', 'dir']);
  await made.printed(/Made .*linux-unpacked/, 600_000);
  expect((await stat(join(unpacked, 'resources/app.asar'))).size).toBeLessThan(60_000_000);
  expect(await readdir(join(unpacked, 'resources'))).toEqual(['app.asar']);
  const wire = await getCurrentFuseWire(join(unpacked, 'troupe'));
  const on = '1'.charCodeAt(0);
  expect(wire[FuseV1Options.RunAsNode]).not.toBe(on);
  expect(wire[FuseV1Options.EnableNodeCliInspectArguments]).not.toBe(on);
  expect(wire[FuseV1Options.OnlyLoadAppFromAsar]).toBe(on);

  const folder = await mkdtemp(join(tmpdir(), 'troupe-dist-'));
  const started: Started[] = [];
  try {
    const first = await start(folder);
    started.push(first);
    await expect(first.page.getByRole('contentinfo')).not.toContainText(words.status.noDevice, { timeout: 60_000 });
    await first.page.getByRole('button', { name: words.home.first }).click();
    await expect.poll(() => stepsWritten(folder), { timeout: 400_000, intervals: [500] }).toBeGreaterThanOrEqual(3);
    await first.kill();

    const second = await start(folder);
    started.push(second);
    await second.page.getByRole('navigation').getByRole('link', { name: words.nav.training }).click();
    await second.page
      .getByRole('link', { name: /QD-Answer/ })
      .first()
      .click();
    const before = await stepsWritten(folder);
    await second.page.getByRole('button', { name: words.training.resume, exact: true }).click();
    await expect.poll(() => stepsWritten(folder), { timeout: 400_000, intervals: [500] }).toBeGreaterThan(before);
  } finally {
    for (const one of started) await one.kill().catch(() => {});
    await rm(folder, { recursive: true, force: true });
  }
});
