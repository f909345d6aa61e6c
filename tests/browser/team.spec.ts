/** The team editor in a real browser: drawn with the mouse and with the keyboard, killed in mid-edit, open in two windows. */
import type { Page } from '@playwright/test';
import { words } from '../../renderer/words.ts';
import {
  copyAndDelete,
  drawWithTheMouse,
  exportedByPage,
  openTeam,
  rewire,
  takeANote,
  workInAGroup,
} from '../drawing-steps.ts';
import { expectAccessible } from '../e2e-steps.ts';
import { drawWithTheKeyboard, killedInMidEdit } from '../keyboard-steps.ts';
import { expect, test } from './page.ts';

const text = words.team;

test.use({ actionTimeout: 30_000 });

async function open(page: Page, address: string): Promise<string[]> {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(address);
  await openTeam(page);
  return problems;
}

test('QD-Answer is drawn with the mouse, saved, and answers a question', async ({ page, address }) => {
  const problems = await open(page, address);
  await drawWithTheMouse(page);
  expect(problems).toEqual([]);
});

test('QD-Answer is drawn with the keyboard alone; fifty edits are undone and redone; a killed page comes back', async ({
  page,
  address,
  context,
}) => {
  const problems = await open(page, address);
  const drawn = await drawWithTheKeyboard(page, exportedByPage);
  await killedInMidEdit(page, drawn, exportedByPage, async (url) => {
    const cdp = await context.newCDPSession(page);
    await Promise.race([cdp.send('Page.crash').catch(() => undefined), page.waitForEvent('crash')]);
    const next = await context.newPage();
    await next.goto(url);
    return next;
  });
  expect(problems).toEqual([]);
});

test('a group is worked in with the mouse, and a pin follows its node', async ({ page, address }) => {
  const problems = await open(page, address);
  await workInAGroup(page, exportedByPage);
  expect(problems).toEqual([]);
});

test('wires take nodes and go elsewhere, problems lead to their place, and a cast is kept', async ({
  page,
  address,
}) => {
  const problems = await open(page, address);
  await takeANote(page, exportedByPage);
  await rewire(page, exportedByPage);
  await page.getByRole('button', { name: text.discard }).click();
  await copyAndDelete(page);
  expect(problems).toEqual([]);
});

test('the whole editor is used at 200 % zoom and in forced colours, by mouse and by keyboard', async ({
  browser,
  address,
}) => {
  const context = await browser.newContext({
    viewport: { width: 720, height: 450 },
    deviceScaleFactor: 2,
    forcedColors: 'active',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const problems = await open(page, address);
  await drawWithTheMouse(page);
  await openTeam(page);
  await drawWithTheKeyboard(page, exportedByPage);
  await openTeam(page);
  await page
    .getByRole('group', { name: text.canvas })
    .getByRole('button', { name: 'Tool Search', exact: true })
    .click();
  await expect(page.getByRole('region', { name: text.inspector })).toContainText('Search');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/forced.png`, fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(wide).toBeLessThanOrEqual(0);
  expect(problems).toEqual([]);
  await context.close();
});

test('a team that is open twice is told of in both windows, and the later one goes on in a copy', async ({
  page,
  address,
  context,
}) => {
  await open(page, address);
  const later = await context.newPage();
  await open(later, address);
  for (const one of [page, later]) await expect(one.getByText(text.otherWindow)).toBeVisible();
  const title = (one: Page) => one.getByRole('region', { name: text.inspector }).getByLabel(text.teamTitle);
  await title(page).fill('Mine, from the first window');
  await title(later).fill('Mine, from the later window');
  await expect(later.getByText(text.copiedHere)).toBeVisible();
  await expect(later).toHaveURL(/#\/team\/my-qd-answer$/);
  await expect(page).toHaveURL(/#\/team\/qd-answer$/);
  await expectAccessible(later, 'Team, open twice');
  for (const [one, name] of [
    [page, 'first'],
    [later, 'later'],
  ] as const) {
    await one.reload();
    await expect(one.getByRole('heading', { level: 1 })).toContainText(`from the ${name} window`, { timeout: 60_000 });
  }
});

test('a policy is told how exactly it computes, and a run asks for it', async ({ page, address }) => {
  const problems = await open(page, address);
  const { precision } = words.cast;
  const exact = precision.open(precision.exact);
  await page.getByRole('button', { name: exact }).first().click();
  const dialog = page.getByRole('dialog');
  const field = (part: keyof typeof precision.labels) => dialog.getByLabel(precision.labels[part]);
  await expect(dialog).toContainText(precision.hints.weights);
  // Chromium runs here without a graphics card: in WebAssembly.
  await expect(field('activations')).toBeDisabled();
  await expect(field('activations')).toHaveAccessibleDescription(/shader-f16/);
  await expect(field('keys')).toHaveAccessibleDescription(/Only on WebGPU; this is/);
  await field('weights').selectOption('q8');
  await expectAccessible(page, 'Team, how a policy computes');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/precision.png` });
  await dialog.getByRole('button', { name: precision.done }).click();
  const chosen = page.getByRole('button', { name: precision.open('weights 8 bits') });
  await expect(chosen).toHaveCount(1);
  await expect(page.getByText(words.cast.custom, { exact: true })).toBeVisible();
  await expectAccessible(page, 'Team, a policy with weights of 8 bits');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/precision-board.png` });
  await page.goto(`${address}#/training`);
  await page.getByLabel(words.training.fields.cast).selectOption('board');
  const frozen = page.getByRole('group', { name: words.training.frozen });
  await expect(frozen).toContainText('"weights": "q8"', { timeout: 60_000 });
  await page.getByLabel(precision.labels.weights).selectOption('q4');
  await expect(frozen).toContainText('"weights": "q4"');
  await expectAccessible(page, 'Training, the set-up with precision');
  if (process.env.SCREENSHOTS)
    await page.screenshot({ path: `${process.env.SCREENSHOTS}/precision-setup.png`, fullPage: true });
  expect(problems).toEqual([]);
});
