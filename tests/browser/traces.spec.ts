/** One question's trace on the page: searched, scored by other weights, and audited by other draws of a record. */
import { expect } from '@playwright/test';
import { words } from '../../renderer/words.ts';
import { expectAccessible } from '../e2e-steps.ts';
import { test } from './page.ts';

const { team, traces } = words;

test('a trace is searched, its tokens are scored by other weights, and a record’s credit is audited', async ({
  page,
  address,
}) => {
  await page.goto(`${address}#/team/qd-answer`);
  await page.getByRole('button', { name: team.runOne }).click();
  await page.getByRole('dialog').getByRole('button', { name: /\?$/ }).first().click();
  await page.getByRole('dialog').getByRole('button', { name: team.run, exact: true }).click();
  await expect(page.getByText(/^Answer: /)).toBeVisible({ timeout: 60_000 });

  await page.goto(`${address}#/traces`);
  await page.getByRole('combobox', { name: traces.run, exact: true }).selectOption({ label: traces.single });
  await expect(page.getByText(/^mean score /)).toBeVisible();
  await page.getByRole('listbox', { name: traces.list }).getByRole('option').first().click();
  const find = page.getByRole('searchbox', { name: traces.find.label });
  await find.fill('no record holds this');
  await find.press('Enter');
  await expect(page.getByText(traces.find.found(0, 0))).toBeVisible();
  await find.fill('<q>');
  await find.press('Enter');
  await expect(page.getByText(/found \d+ of \d+ · step 2 of/)).toBeVisible(); // the first role is told of it and says it

  const tokens = page.getByRole('group', { name: traces.tokens.by });
  await expect(tokens.getByRole('button', { name: traces.tokens.quantities.kl })).toHaveCount(0);
  await page.getByRole('button', { name: traces.tokens.ask, exact: true }).click();
  for (const quantity of ['ratio', 'kl', 'other'] as const)
    await expect(tokens.getByRole('button', { name: traces.tokens.quantities[quantity], exact: true })).toBeVisible({
      timeout: 60_000,
    });
  await expect(page.getByText(`${traces.tokens.alternatives}:`)).toBeVisible();
  await tokens.getByRole('button', { name: traces.tokens.quantities.kl }).click();

  await page.getByRole('button', { name: traces.fork.audit.open }).click();
  await page.getByRole('combobox', { name: traces.fork.draws }).selectOption('4');
  await expect(page.getByRole('spinbutton', { name: traces.fork.seed })).toHaveValue('1');
  await page.getByRole('button', { name: traces.fork.draw }).click();
  await expect(page.getByText(/^4 other draws from here led to \d\.\d+ ± \d\.\d+ on average/)).toBeVisible({
    timeout: 120_000,
  });
  await expect(page.getByRole('spinbutton', { name: traces.fork.seed })).toHaveValue('5');
  await expectAccessible(page, 'Traces, a record audited');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/audit.png` });

  await page.keyboard.press('ArrowRight');
  await page.reload();
  await page.getByRole('listbox', { name: traces.list }).getByRole('option').first().click();
  await expect(page.getByText(traces.fork.list(4))).toBeVisible();
});
