/** A role that a person plays on the page: its turn comes as a form while the team runs, and the team goes on with what is said. */
import { expect } from '@playwright/test';
import { words } from '../../renderer/words.ts';
import { expectAccessible } from '../e2e-steps.ts';
import { test } from './page.ts';

const { team, cast, turn } = words;

test('a person answers for a role while the team runs, or stops it', async ({ page, address }) => {
  await page.goto(`${address}#/team/qd-answer`);
  await page.getByRole('button', { name: cast.separate }).click();
  await page.getByRole('combobox', { name: `${cast.method}, decomposer` }).selectOption(cast.person);
  const ask = async (): Promise<void> => {
    await page.getByRole('button', { name: team.runOne }).click();
    await page.getByRole('dialog').getByLabel(team.question).fill('Where does the friend of Mira live?');
    await page.getByRole('dialog').getByRole('button', { name: team.run, exact: true }).click();
  };
  await ask();
  const form = page.getByRole('form', { name: turn.title('decomposer', 'decompose') });
  await expect(form).toBeVisible({ timeout: 60_000 });
  await expect(form.getByRole('group', { name: turn.told })).toContainText('Where does the friend of Mira live?');
  await expectAccessible(page, 'Team, at a person’s turn');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/person.png` });
  await form.getByLabel(turn.answer).fill('<q>Mira friend</q>');
  await form.getByLabel(turn.answer).press('Control+Enter');
  await expect(form).toBeHidden();
  await expect(page.getByText(/^Answer: /)).toBeVisible({ timeout: 60_000 });
  await expect(page.locator('.said').filter({ hasText: '<q>Mira friend</q>' })).toBeVisible();

  await ask();
  await expect(form).toBeVisible({ timeout: 60_000 });
  await page.getByRole('button', { name: team.cancel }).click();
  await expect(form).toBeHidden();
});
