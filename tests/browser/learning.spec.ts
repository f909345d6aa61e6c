/** What a run learns from and how, chosen on the page: a reward written in JavaScript, and rounds of fine-tuning. */
import { expect } from '@playwright/test';
import { words } from '../../renderer/words.ts';
import { expectAccessible } from '../e2e-steps.ts';
import { test } from './page.ts';

const { team, training } = words;
const { rewards } = team;

test.use({ actionTimeout: 20_000 });

test('a reward is written in JavaScript and tried on the last run', async ({ page, address }) => {
  await page.goto(`${address}#/team/single-agent`);
  await page.getByRole('button', { name: team.runOne }).click();
  await page.getByRole('dialog').getByRole('button', { name: /\?$/ }).first().click();
  await page.getByRole('dialog').getByRole('button', { name: team.run, exact: true }).click();
  await expect(page.getByText(/^Answer: /)).toBeVisible({ timeout: 60_000 });
  await page.getByText(team.teamRewards).click();
  await page.getByRole('combobox', { name: rewards.value }).selectOption(rewards.kinds.javascript);
  const source = page.getByRole('textbox', { name: rewards.javascript });
  await source.fill('({ answer }) => answer.length / 1000 + 7');
  await page.getByRole('button', { name: rewards.tryLast }).click();
  const tried = page.getByRole('status', { name: rewards.tryLast });
  await expect(tried.getByRole('cell', { name: /[+]7[.]0/ }).first()).toBeVisible({ timeout: 30_000 });
  await expectAccessible(page, 'Team, with a reward in JavaScript');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/reward.png` });
  await source.fill('() => { for (;;); }');
  await page.getByRole('button', { name: rewards.tryLast }).click();
  await expect(tried.getByText(/still running after 1000 ms/)).toBeVisible({ timeout: 30_000 });
});

test('rounds of fine-tuning are set up in the form and run', async ({ page, address }) => {
  await page.goto(`${address}#/training`);
  const { fields } = training;
  await page.getByLabel(fields.learn).selectOption('sft');
  await expect(page.getByLabel(words.settings.whiten.label)).toHaveCount(0);
  for (const [label, value] of [
    [words.settings.samples.label, '2'],
    [words.settings.minScore.label, '0.5'],
    [words.settings.steps.label, '1'],
    [words.settings.queries.label, '8'],
    [words.settings.evalLimit.label, '8'],
  ] as const)
    await page.getByLabel(label, { exact: true }).fill(value);
  await expectAccessible(page, 'Training, set-up');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/setup.png` });
  await page.getByRole('button', { name: training.start }).click();
  await expect(page).toHaveURL(/#\/training\/.+/);
  await expect(page.getByText(words.job.states.done).first()).toBeVisible({ timeout: 120_000 });
  await expect(page.getByText('"minScore": 0.5')).toHaveCount(1);
});
