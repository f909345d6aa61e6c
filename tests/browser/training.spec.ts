/**
 * The training lab on the page: a run is trained, branched from one of its checkpoints with another cast, and both are
 * compared; runs wait in line, and the line outlives a reload. Things are found as a person finds them.
 */
import { readFile } from 'node:fs/promises';
import { expect, type Page } from '@playwright/test';
import { words } from '../../renderer/words.ts';
import { expectAccessible } from '../e2e-steps.ts';
import { test } from './page.ts';

const text = words.training;
const dialog = text.branchDialog;

test.use({ actionTimeout: 30_000 });

async function openSetup(page: Page, address: string): Promise<void> {
  await page.goto(`${address}#/training`);
  await expect(page.getByRole('contentinfo')).not.toContainText(words.status.noDevice, { timeout: 60_000 });
}

/** Sets up a short run of the two-role team with nano and waits until it is done. */
async function trainShortly(page: Page): Promise<void> {
  const fields: [string, string][] = [
    [text.fields.title, ''],
    [words.settings.steps.label, '4'],
    [words.settings.queries.label, '8'],
    [words.settings.evalEvery.label, '2'],
    [words.settings.evalLimit.label, '10'],
    [words.settings.checkpointEvery.label, '2'],
  ];
  for (const [label, value] of fields) await page.getByLabel(label, { exact: true }).fill(value);
  await page.getByText(text.more.ppo(25, 0)).click();
  await page.getByLabel(words.settings.clip.label, { exact: true }).fill('0.3');
  await expect(page.getByRole('group', { name: text.frozen })).toContainText('"clip": 0.3');
  await expect(page.getByText(/of memory by formula/)).toBeVisible();
  await page.getByRole('button', { name: text.start }).click();
  await expect(page).toHaveURL(/#\/training\/.+/);
  await expectState(page, words.job.states.done);
}

function expectState(page: Page, state: string): Promise<void> {
  return expect(page.locator('.head .state')).toHaveText(state, { timeout: 240_000 });
}

type Changes = { cast?: string; name: string; steps: string };

async function branch(page: Page, step: number | null, { cast, name, steps }: Changes): Promise<void> {
  if (step === null) await page.getByRole('button', { name: text.branch, exact: true }).first().click();
  else await page.getByRole('button', { name: text.branchFrom(step) }).click();
  const shown = page.getByRole('dialog', { name: dialog.title });
  if (cast !== undefined) await shown.getByLabel(text.fields.cast).selectOption(cast);
  await shown.getByLabel(dialog.name).fill(name);
  await shown.getByLabel(words.settings.steps.label, { exact: true }).fill(steps);
  if (cast !== undefined) {
    await expect(shown.getByRole('group', { name: dialog.weights })).toContainText('answerer');
    await expectAccessible(page, 'the branch dialog');
  }
  await shown.getByRole('button', { name: dialog.start }).click();
  await expect(page.getByRole('heading', { name, level: 1 })).toBeVisible({ timeout: 60_000 });
}

test('a run is branched from a checkpoint with another cast, and both are compared', async ({ page, address }) => {
  test.setTimeout(600_000);
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  await openSetup(page, address);
  await test.step('train', () => trainShortly(page));
  await expect(page.getByRole('region', { name: text.checkpoints }).getByRole('row')).not.toHaveCount(0);
  await expect(page.getByText(/of memory at most, .* by formula/)).toBeVisible();
  await expectAccessible(page, 'Training, a run that is done');

  await test.step('look at some steps and lines alone', async () => {
    const chart = page.getByRole('slider', { name: words.chart.cursor(words.chart.reward) });
    await chart.focus();
    await page.keyboard.press('End');
    await page.keyboard.press('+');
    await expect(page.getByText(words.chart.shown(2, 4))).toBeVisible();
    await page.keyboard.press('0');
    await expect(page.getByText(words.chart.drag)).toBeVisible();
    const box = (await chart.boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.3, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.9, box.y + 60, { steps: 5 });
    await page.mouse.up();
    await expect(page.getByText(/^Steps \d to 4$/)).toBeVisible();
    const line = page.getByRole('figure', { name: words.chart.reward }).getByRole('button', { name: 'decomposer' });
    await line.click();
    await expect(line).toHaveAttribute('aria-pressed', 'false');
    await page.getByRole('button', { name: words.chart.all }).click();
    await expect(line).toHaveAttribute('aria-pressed', 'true');
    await page.getByRole('button', { name: `${words.chart.table}: ${words.chart.reward}` }).click();
    const saving = page.waitForEvent('download');
    await page.getByRole('button', { name: `${words.chart.csv}: ${words.chart.reward}` }).click();
    const csv = await readFile(await (await saving).path(), 'utf8');
    expect(csv).toMatch(/^step,"decomposer","answerer"\n1,-?\d/);
  });

  await test.step('along time and on a log scale, remembered', async () => {
    await page.getByRole('button', { name: `${words.chart.table}: ${words.chart.reward}` }).click();
    const axis = page.getByLabel(words.chart.axis);
    await axis.selectOption('time');
    const along = words.chart.cursor(words.chart.reward, words.chart.along.time);
    const chart = page.getByRole('slider', { name: along });
    await chart.focus();
    await page.keyboard.press('End');
    await expect(chart).toHaveAttribute('aria-valuetext', /^\d.* s, step 4: decomposer /);
    await page.keyboard.press('l');
    const log = page.getByRole('button', { name: words.chart.logScale(words.chart.reward) });
    await expect(log).toHaveAttribute('aria-pressed', 'true');
    await expectAccessible(page, 'a run along time, on a log scale');
    await page.reload();
    await expect(log).toHaveAttribute('aria-pressed', 'true');
    await expect(axis).toHaveValue('time');
    await axis.selectOption('step');
    await log.click();
  });

  await test.step('name it and note what it was', async () => {
    await page.getByRole('button', { name: text.describe.open }).click();
    const shown = page.getByRole('dialog', { name: text.describe.title });
    await shown.getByLabel(text.describe.name).fill('QD-Answer, wide clip');
    await shown.getByLabel(text.describe.note).fill('The clip is 0.3 here.');
    await expectAccessible(page, 'a run’s name and note');
    await shown.getByRole('button', { name: text.describe.save }).click();
    await expect(page.getByRole('heading', { name: 'QD-Answer, wide clip', level: 1 })).toBeVisible();
    await page.reload();
    await expect(page.getByText('The clip is 0.3 here.', { exact: true })).toBeVisible();
  });

  await test.step('branch', async () => {
    await branch(page, 4, { cast: 'separate', name: 'Two policies', steps: '6' });
    await expectState(page, words.job.states.done);
    await expect(page.getByRole('link', { name: /^Branched off .* at step 4$/ })).toBeVisible();
    // The legend of the KL chart: the policy before the branch, and the two after it.
    const kl = page.getByRole('figure', { name: words.chart.kl });
    for (const policy of ['team', 'decomposer', 'answerer']) await expect(kl.locator('.legend')).toContainText(policy);
  });

  await test.step('ask a checkpoint', async () => {
    const run = page.url();
    await page.getByRole('button', { name: text.tryStep(6) }).click();
    const shown = page.getByRole('dialog', { name: words.team.runOne });
    await expect(shown.getByLabel(words.team.weights)).toHaveValue(/@6$/);
    await shown
      .getByRole('textbox', { name: words.team.question })
      .or(shown.getByRole('combobox', { name: words.team.question }))
      .fill('Where does the friend of Mira live?');
    await shown.getByRole('button', { name: words.team.run, exact: true }).click();
    await expect(page.getByText(/^Answer: /)).toBeVisible({ timeout: 120_000 });
    await page.goto(run);
  });

  await test.step('compare', async () => {
    await page.getByRole('link', { name: text.compareThis }).click();
    await expect(page.getByRole('heading', { name: words.runs.title, level: 1 })).toBeVisible();
    await expect(page.getByRole('checkbox', { checked: true })).toHaveCount(1);
    await page.getByRole('checkbox', { name: /^Compare QD-Answer/ }).check();
    await expect(page.getByRole('heading', { name: words.runs.curves })).toBeVisible();
    await expect(page.getByRole('figure', { name: words.chart.f1 }).locator('.entry')).toHaveCount(2);
    await expect(page.getByText(/\] on 10 questions: (a|no) clear difference/)).toBeVisible();
    const settings = page.getByRole('group', { name: words.runs.settings });
    await expect(settings.getByRole('rowheader', { name: 'settings.steps', exact: true })).toBeVisible();
    await expect(settings.getByRole('rowheader', { name: 'cast.name', exact: true })).toBeVisible();
    await expect(settings.getByRole('rowheader', { name: 'settings.queries', exact: true })).toHaveCount(0);
    await page.getByLabel(words.chart.smoothing).selectOption('5');
    await page.getByLabel(words.chart.axis).selectOption('clock');
    await expectAccessible(page, 'the comparison');
    await page.getByLabel(words.chart.axis).selectOption('step');
  });

  await test.step('choose columns of the runs and their order, remembered', async () => {
    const columns = words.runs.columns;
    const header = (name: string) => page.getByRole('columnheader', { name, exact: true });
    await page.getByText(words.runs.chooseColumns, { exact: true }).click();
    await page.getByRole('checkbox', { name: columns.memory }).check();
    await page.getByRole('checkbox', { name: columns.team, exact: true }).uncheck();
    await header(columns.memory).getByRole('button').click();
    await expectAccessible(page, 'the columns of the runs');
    await page.reload();
    await expect(header(columns.memory)).toHaveAttribute('aria-sort', 'descending');
    await expect(header(columns.team)).toHaveCount(0);
    await page.getByText(words.runs.chooseColumns, { exact: true }).click();
    await page.getByRole('checkbox', { name: columns.memory }).uncheck();
    await expect(header(columns.created)).toHaveAttribute('aria-sort', 'descending');
    await page.getByRole('button', { name: words.runs.usualColumns }).click();
    await expect(header(columns.team)).toBeVisible();
  });

  await test.step('at 200 % zoom and in forced colours', async () => {
    const comparison = page.url();
    const run = new URL(comparison);
    run.hash = `#/training/${new URLSearchParams(run.hash.split('?')[1]).get('compare')!.split(',')[0]}`;
    await page.setViewportSize({ width: 720, height: 450 });
    for (const forcedColors of ['none', 'active'] as const) {
      await page.emulateMedia({ forcedColors });
      for (const [name, url] of [
        ['a run', run.href],
        ['a comparison', comparison],
      ] as const) {
        // prettier-ignore
        await page.goto(url);
        await expect(page.getByRole('figure').first()).toBeVisible();
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(wide, name).toBeLessThanOrEqual(0);
        await expectAccessible(page, `${name} at 200 %, forced colours: ${forcedColors}`);
      }
    }
    await page.emulateMedia({ forcedColors: null });
    await page.setViewportSize({ width: 1440, height: 900 });
  });

  await test.step('with the keyboard to the traces of a point', async () => {
    const chart = page.getByRole('slider', { name: words.chart.cursor(words.chart.f1) });
    await chart.focus();
    await page.keyboard.press('Home');
    await expect(chart).toHaveAttribute('aria-valuenow', '0');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(/#\/traces\/qd-answer-shared-[^/?]+\?step=0$/);
    await expect(page.getByRole('listbox', { name: words.traces.list }).getByRole('option').first()).toBeVisible();
  });
  expect(problems).toEqual([]);
});

test('runs wait in line, and the line outlives a reload', async ({ page, address }) => {
  test.setTimeout(600_000);
  await openSetup(page, address);
  await trainShortly(page);
  await branch(page, null, { name: 'A long one', steps: '500' });
  await expectState(page, words.job.states.running);
  await page.getByRole('button', { name: text.branchFrom(4) }).waitFor();
  await expect(page.getByRole('button', { name: text.branchFrom(8) })).toBeVisible({ timeout: 120_000 });
  await test.step('a page that trains asks before it closes', async () => {
    const asked = page.waitForEvent('dialog');
    await page.close({ runBeforeUnload: true });
    const question = await asked;
    expect(question.type()).toBe('beforeunload');
    await question.dismiss();
    await expectState(page, words.job.states.running);
  });
  await branch(page, 4, { name: 'A short one', steps: '5' });
  await expectState(page, words.job.states.queued);
  await expect(page.getByText(text.queued(0))).toBeVisible();
  await expectAccessible(page, 'a run that waits');
  await page.reload();
  await expectState(page, words.job.states.queued);
  await expect(page.getByText(text.held)).toBeVisible({ timeout: 60_000 });
  await page.getByRole('button', { name: text.startNow }).click();
  await expectState(page, words.job.states.done);
  await page.getByRole('link', { name: /^A long one/ }).click();
  await expectState(page, words.job.states.paused);
  await page.getByRole('button', { name: text.resume, exact: true }).click();
  await expectState(page, words.job.states.running);
  await page.getByRole('button', { name: text.stop }).click();
  await expectState(page, words.job.states.stopped);
});

test('a long run that stalls or ends is told by the system to who looks elsewhere', async ({ page, address }) => {
  test.setTimeout(300_000);
  // The page's clock runs sixty times too fast, so that seconds of training are a long run to it.
  await page.addInitScript(() => {
    const [real, start] = [Date.now.bind(Date), Date.now()];
    Date.now = () => start + (real() - start) * 60;
    document.hasFocus = () => false;
    const told: string[] = [];
    class Told {
      static permission = 'granted';
      onclick: (() => void) | null = null;
      constructor(_title: string, { body }: { body: string }) {
        told.push(body);
      }
    }
    Object.assign(window, { Notification: Told, told });
  });
  await openSetup(page, address);
  await trainShortly(page);
  const told = () => page.evaluate(() => (window as unknown as { told: string[] }).told);
  await expect.poll(told).toContainEqual(expect.stringMatching(/ is done: 4 steps in \d+ min\.$/));
  expect(await told()).toContainEqual(expect.stringMatching(/ has not moved for /));
  await expect(page.getByText(/ is done: 4 steps in /)).toBeVisible();
});
