/** The screens over the fixture at its largest in a headless Chromium, and what a gesture on them costs. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { chromium, type CDPSession, type Page } from '@playwright/test';
import { build, preview } from 'vite';
import { UserError } from '../engine/errors.ts';

export type Stage = {
  readonly page: Page;
  readonly cdp: CDPSession;
  go(hash: string): Promise<void>;
  close(): Promise<void>;
};

const root = path.join(import.meta.dirname, '..');

export async function openStage(): Promise<Stage> {
  const executablePath = [process.env['CHROMIUM_PATH'], '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
    (each) => each !== undefined && existsSync(each),
  );
  if (executablePath === undefined) throw new UserError('No Chromium was found; name one in CHROMIUM_PATH');
  const outDir = await mkdtemp(path.join(os.tmpdir(), 'troupe-stage-'));
  const configFile = path.join(root, 'renderer/vite.config.ts');
  const input = path.join(root, 'renderer/testing/stage.html');
  await build({ configFile, logLevel: 'error', build: { outDir, emptyOutDir: true, rolldownOptions: { input } } });
  const server = await preview({
    configFile,
    logLevel: 'error',
    build: { outDir },
    preview: { port: 0, host: '127.0.0.1' },
  });
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const browser = await chromium.launch({ executablePath, headless: true, args: ['--headless=new', ...args] });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' }); // the page's own processor time, whatever else runs
  const base = server.resolvedUrls!.local[0];
  await page.goto(new URL('testing/stage.html?huge', base).href);
  return {
    page,
    cdp,
    go: async (hash) => {
      await page.evaluate((to) => (location.hash = to), hash);
    },
    close: async () => {
      await browser.close();
      await server.close();
      await rm(outDir, { recursive: true, force: true });
    },
  };
}

export type Gesture = {
  readonly frames: number;
  /** Processor time of scripts a frame. */
  readonly scriptMeanMs: number;
  readonly scriptP95Ms: number;
  /** Of style and layout a frame. */
  readonly layoutMeanMs: number;
};

type Spent = { script: number; layout: number; task: number };

async function spent({ cdp }: Stage): Promise<Spent> {
  const { metrics } = await cdp.send('Performance.getMetrics');
  const of = (name: string): number => 1_000 * (metrics.find((each) => each.name === name)?.value ?? 0);
  return {
    script: of('ScriptDuration'),
    layout: of('LayoutDuration') + of('RecalcStyleDuration'),
    task: of('TaskDuration'),
  };
}

/** Moves before those that count: code that is compiled on its first calls is measured as it runs from then on. */
const WARM_UP = 10;

async function drawn(stage: Stage, moved: Promise<unknown>): Promise<void> {
  await moved;
  await stage.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** Makes a move, waits until its frame is drawn, and counts what it took, so many times. */
export async function gesture(stage: Stage, frames: number, move: (at: number) => Promise<unknown>): Promise<Gesture> {
  const each: Spent[] = [];
  for (let at = 0; at < WARM_UP; at++) await drawn(stage, move(at));
  let before = await spent(stage);
  for (let at = 0; at < frames; at++) {
    await drawn(stage, move(at + WARM_UP));
    const after = await spent(stage);
    each.push({
      script: after.script - before.script,
      layout: after.layout - before.layout,
      task: after.task - before.task,
    });
    before = after;
  }
  const scripts = each.map(({ script }) => script).sort((a, b) => a - b);
  return {
    frames,
    scriptMeanMs: rounded(mean(scripts)),
    scriptP95Ms: rounded(scripts[Math.min(frames - 1, Math.floor(frames * 0.95))]),
    layoutMeanMs: rounded(mean(each.map(({ layout }) => layout))),
  };
}

export type Opened = {
  /** By the clock, with whatever else the machine was doing. */
  readonly clockMs: number;
  /** The page's own processor time: scripts, style, layout and painting. */
  readonly ownMs: number;
};

/** How long until what was asked for is there. */
export async function opened(stage: Stage, hash: string, there: () => Promise<unknown>): Promise<Opened> {
  const [started, before] = [performance.now(), await spent(stage)];
  await stage.go(hash);
  await there();
  const clockMs = Math.round(performance.now() - started);
  return { clockMs, ownMs: Math.round((await spent(stage)).task - before.task) };
}

/** Memory of the page's scripts once nothing is left to collect, MiB. */
export async function heapOf({ cdp }: Stage): Promise<number> {
  await cdp.send('HeapProfiler.collectGarbage');
  const { usedSize } = await cdp.send('Runtime.getHeapUsage');
  return rounded(usedSize / 2 ** 20);
}

const mean = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / numbers.length;
export const rounded = (value: number): number => Number(value.toFixed(2));
