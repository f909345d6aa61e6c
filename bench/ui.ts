/**
 * The screens at their largest: a canvas of 500 nodes, a list of 100,000 traces, a trace of 2,000 records, charts of as many of
 * 20 runs with 10,000 steps as stand side by side, and memory over a long session. Each figure has its limit; one that is beyond it is named and the
 * command fails.
 */
import path from 'node:path';
import { UserError } from '../engine/errors.ts';
import { huge } from '../renderer/testing/huge.ts';
import { COMPARED_MAX } from '../renderer/training/compare.ts';
import { words } from '../renderer/words.ts';
import { describeMachine, saveResults } from './results.ts';
import { measureDisk } from './ui-disk.ts';
import { gesture, heapOf, opened, openStage, type Gesture, type Opened, type Stage } from './ui-page.ts';

export type UiOptions = { readonly minutes: number; readonly json: boolean; readonly out?: string | undefined };

const FRAMES = 60;
/**
 * Milliseconds of a script's own processor time in a frame; milliseconds of its own until lists, traces and charts stand (a
 * canvas is not held to it); MiB more after a session.
 */
const limits = { scriptMsPerFrame: 8, openMs: 1_000, sessionGrowthMiB: 16 } as const;

type Measured = { readonly open: Opened; readonly gestures: Readonly<Record<string, Gesture>> };

export async function benchUi(options: UiOptions): Promise<void> {
  if (!(options.minutes > 0 && options.minutes <= 600))
    throw new UserError(`--minutes must be above 0 and at most 600: ${options.minutes}`);
  const machine = describeMachine();
  const disk = await measureDisk(huge.records);
  const stage = await openStage();
  try {
    const screens = {
      'canvas of 500 nodes': await canvas(stage),
      'list of 100,000 traces': await list(stage),
      'trace of 2,000 records': await longTrace(stage),
      [`charts of ${COMPARED_MAX} of ${huge.runs} runs with 10,000 steps`]: await charts(stage),
    };
    const session = await longSession(stage, options.minutes);
    const beyond = beyondLimits(screens, disk, session);
    const measured = { huge, limits, disk, screens, session, beyond };
    console.log(options.json ? JSON.stringify(measured, null, 2) : report(screens, disk, session));
    const file = await saveResults('ui', machine, machine.cpu, measured, options.out);
    console.log(`written to ${path.relative(process.cwd(), file)}`);
    if (beyond.length > 0) throw new UserError(`beyond its limit: ${beyond.join('; ')}`);
  } finally {
    await stage.close();
  }
}

async function canvas(stage: Stage): Promise<Measured> {
  const { page } = stage;
  const open = await opened(stage, '#/team/huge', () =>
    page.getByText(`${huge.nodes} nodes`).or(page.locator('.graph .card').first()).first().waitFor(),
  );
  await page.waitForTimeout(1_000);
  const box = (await page.locator('.graph .canvas').boundingBox())!;
  const [left, top] = [box.x + 12, box.y + box.height - 60];
  await page.mouse.move(left, top);
  await page.mouse.down();
  const pan = await gesture(stage, FRAMES, (at) => page.mouse.move(left + 4 * (at + 1), top - 3 * (at + 1)));
  await page.mouse.up();
  const card = page.locator('.graph .card').nth(huge.nodes / 2); // one that is still in view
  const place = (await card.boundingBox())!;
  const [x, y] = [place.x + place.width / 2, place.y + 8];
  await page.mouse.move(x, y);
  await page.mouse.down();
  const drag = await gesture(stage, FRAMES, (at) => page.mouse.move(x + 3 * (at + 1), y + 2 * (at + 1)));
  await page.mouse.up();
  const zoom = await gesture(stage, FRAMES / 2, (at) => page.mouse.wheel(0, at % 2 === 0 ? 40 : -40));
  return { open, gestures: { pan, drag, zoom } };
}

async function list(stage: Stage): Promise<Measured> {
  const { page } = stage;
  const rows = page.getByRole('listbox', { name: words.traces.list });
  const open = await opened(stage, '#/traces/run0', () => rows.getByRole('option').first().waitFor());
  await page.mouse.move(600, 500);
  const scroll = await gesture(stage, FRAMES, () => page.mouse.wheel(0, 900));
  const jump = await gesture(stage, 20, (at) =>
    page
      .locator('.scroller')
      .first()
      .evaluate((element, to) => (element.scrollTop = to), ((at * 37) % 100) * 27_000),
  );
  return { open, gestures: { scroll, jump } };
}

async function longTrace(stage: Stage): Promise<Measured> {
  const { page } = stage;
  const text = words.traces;
  const open = await opened(stage, '#/traces/run0/long', () => page.getByText(`of ${huge.records}`).first().waitFor());
  await page
    .locator('h1')
    .first()
    .focus()
    .catch(() => {});
  const step = await gesture(stage, FRAMES, () => page.keyboard.press('ArrowRight'));
  await page.mouse.move(900, 300);
  const lanes = await gesture(stage, FRAMES, () => page.mouse.wheel(400, 0));
  await page.getByRole('button', { name: text.views.text, exact: true }).click();
  const reading = await gesture(stage, FRAMES, () => page.mouse.wheel(0, 500));
  await page.getByRole('button', { name: text.views.graph, exact: true }).click();
  await page.waitForTimeout(500);
  const stepGraph = await gesture(stage, FRAMES / 2, () => page.keyboard.press('ArrowRight'));
  await page.getByRole('button', { name: text.views.lanes, exact: true }).click();
  return { open, gestures: { step, lanes, text: reading, stepGraph } };
}

async function charts(stage: Stage): Promise<Measured> {
  const { page } = stage;
  const open = await opened(
    stage,
    `#/training?compare=${Array.from({ length: huge.runs }, (_, at) => `run${at}`).join(',')}`,
    () => page.locator('.u-over').first().waitFor(),
  );
  await page.waitForTimeout(1_000);
  const over = (await page.locator('.u-over').first().boundingBox())!;
  const cursor = await gesture(stage, FRAMES, (at) =>
    page.mouse.move(over.x + 4 + ((over.width - 8) * at) / FRAMES, over.y + over.height / 2),
  );
  return { open, gestures: { cursor } };
}

export type Session = { readonly minutes: number; readonly rounds: number; readonly heapMiB: readonly number[] };

/** Everything above again and again; the first round warms caches and is not counted. */
async function longSession(stage: Stage, minutes: number): Promise<Session> {
  const { page } = stage;
  const heapMiB: number[] = [];
  const until = performance.now() + minutes * 60_000;
  let rounds = 0;
  do {
    await stage.go('#/traces/run0');
    await page.getByRole('listbox', { name: words.traces.list }).getByRole('option').first().waitFor();
    await page.mouse.move(600, 500);
    for (let i = 0; i < 10; i++) await page.mouse.wheel(0, 4_000);
    for (const trace of [`t${rounds + 1}`, 'long']) {
      await stage.go(`#/traces/run0/${trace}`);
      await page
        .getByText(/^step 1 of/)
        .first()
        .waitFor();
      for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowRight');
    }
    await stage.go('#/training/run0');
    await page.locator('.u-over').first().waitFor();
    await stage.go('#/team/huge');
    await page.locator('.graph .card').first().waitFor();
    await stage.go('#/home');
    await page.waitForTimeout(300);
    heapMiB.push(await heapOf(stage));
    rounds += 1;
  } while (performance.now() < until || rounds < 3);
  return { minutes, rounds, heapMiB };
}

function growth({ heapMiB }: Session): number {
  return Number((heapMiB.at(-1)! - heapMiB[1]).toFixed(2));
}

type Disk = Awaited<ReturnType<typeof measureDisk>>;

function beyondLimits(screens: Readonly<Record<string, Measured>>, disk: Disk, session: Session): string[] {
  const found = Object.entries(screens).flatMap(([name, { open, gestures }]) => [
    ...(open.ownMs > limits.openMs && !name.startsWith('canvas') ? [`${name}: ${open.ownMs} ms to open`] : []),
    ...Object.entries(gestures).flatMap(([move, { scriptP95Ms }]) =>
      scriptP95Ms > limits.scriptMsPerFrame ? [`${name}, ${move}: ${scriptP95Ms} ms of script a frame`] : [],
    ),
  ]);
  if (disk.listOpenMs > limits.openMs) found.push(`list read from disk in ${disk.listOpenMs} ms`);
  if (disk.traceOpenMs > limits.openMs) found.push(`trace read from disk in ${disk.traceOpenMs} ms`);
  if (growth(session) > limits.sessionGrowthMiB) found.push(`${growth(session)} MiB more after the session`);
  return found;
}

function report(screens: Readonly<Record<string, Measured>>, disk: Disk, session: Session): string {
  const lines = Object.entries(screens).flatMap(([name, { open, gestures }]) => [
    `${name}: opened with ${open.ownMs} ms of its own (limit ${limits.openMs}), ${open.clockMs} by the clock`,
    ...Object.entries(gestures).map(
      ([move, one]) =>
        `  ${move.padEnd(10)} script ${one.scriptMeanMs} ms a frame, 95 % below ${one.scriptP95Ms} (limit ${limits.scriptMsPerFrame}), layout ${one.layoutMeanMs}`,
    ),
  ]);
  return [
    `from disk: ${disk.traces} traces listed in ${disk.listOpenMs} ms, a page ${disk.pageMs} ms, a filter ${disk.filterMs} ms, ${disk.heapMiB} MiB; ${disk.records} records in ${disk.traceOpenMs} ms`,
    ...lines,
    `session of ${session.minutes} min, ${session.rounds} rounds: ${session.heapMiB[1]} MiB after the second, ${session.heapMiB.at(-1)} at the end (limit ${limits.sessionGrowthMiB} more)`,
  ].join('\n');
}
