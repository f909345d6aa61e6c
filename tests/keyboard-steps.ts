/**
 * QD-Answer drawn from an empty canvas with the keyboard alone; fifty edits undone and redone; killed in mid-edit. Steps that
 * the page and the desktop window share.
 */
import { expect, type Page } from '@playwright/test';
import { words } from '../renderer/words.ts';
import { drawn, noProblems, outlineNames, type Exported, type Exporting } from './drawing-steps.ts';
import { expectAccessible } from './e2e-steps.ts';

const text = words.team;

/** With the keyboard alone; then at least fifty edits of every sort, each undone and redone. */
export async function drawWithTheKeyboard(page: Page, exported: Exporting): Promise<Drawn> {
  const press = (keys: string): Promise<void> => page.keyboard.press(keys);
  const choose = async (choice: string): Promise<void> => {
    await expect(page.getByRole('dialog').getByRole('combobox')).toBeFocused();
    await page.keyboard.type(choice);
    await press('Enter');
    await expect(page.getByRole('dialog')).toHaveCount(0);
  };
  await page.getByRole('button', { name: text.newTeam }).focus();
  await press('Enter');
  await expect(page.getByText(text.emptyCanvas)).toBeVisible();
  await page
    .getByRole('complementary', { name: text.outline })
    .getByRole('button', { name: text.addNode, exact: true })
    .focus();
  await press('Enter');
  await choose(text.kinds.input);
  const focused = page.locator(':focus');
  await expect(focused).toHaveAttribute('aria-label', 'Input Question');
  await press('c');
  await choose(text.kinds.role);
  await expect(focused).toHaveAttribute('aria-label', /^Role /);
  await press('F2');
  await page.keyboard.type('Decomposer');
  await press('Enter');
  await expect(focused).toHaveAttribute('aria-label', 'Role Decomposer');
  // Into the inspector: a list of searches instead of one text.
  const parser = page.getByRole('region', { name: text.inspector });
  await parser.getByRole('tab', { name: text.tabs.prompt }).focus();
  await press('ArrowRight');
  await press('Tab');
  await expect(focused).toHaveAccessibleName(text.parser.kind);
  await page.keyboard.type('One');
  await parser.getByLabel(text.parser.max, { exact: true }).focus();
  await press('Control+a');
  await page.keyboard.type('2');
  await press('Tab');
  await page.getByRole('treeitem', { name: 'Role Decomposer' }).focus();
  await press('c');
  await choose('Search');
  await press('c');
  await choose(text.kinds.role);
  await expect(focused).toHaveAttribute('aria-label', /^Role /);
  await press('F2');
  await page.keyboard.type('Answerer');
  await press('Enter');
  await expect(focused).toHaveAttribute('aria-label', 'Role Answerer');
  await press('c');
  await choose(text.kinds.output);
  await press('Home');
  await expect(focused).toHaveAttribute('aria-label', 'Input Question');
  await press('ArrowRight');
  await press('ArrowRight');
  await expect(focused).toHaveAttribute('aria-label', /^Output question of Question/);
  await press('Enter');
  await choose(text.wire.newPort('Answerer'));
  expect((await outlineNames(page)).filter((name) => !name.startsWith('Output question'))).toEqual(drawn);
  await noProblems(page);
  await expectAccessible(page, 'Team, drawn with the keyboard');

  await mixedEdits(page);
  const undo = page.getByRole('button', { name: words.header.undo });
  const whole = await exported(page);
  let steps = 0;
  for (; (await undo.isEnabled()) && steps < 120; steps++) await press('Control+z');
  expect(steps).toBeGreaterThanOrEqual(50);
  await expect(page.getByText(text.emptyCanvas)).toBeVisible();
  expect(await exported(page)).toMatchObject({ nodes: [], edges: [], roles: {} });
  return { whole, steps };
}

type Drawn = { readonly whole: Exported; readonly steps: number };

/** Places, prompts, rewards, policies, copies and groups: fifty edits. */
async function mixedEdits(page: Page): Promise<void> {
  const press = (keys: string): Promise<void> => page.keyboard.press(keys);
  const select = async (name: string): Promise<void> => {
    await page.getByRole('treeitem', { name, exact: true }).focus();
    await press(' ');
  };
  const inspector = page.getByRole('region', { name: text.inspector });
  for (let round = 0; round < 10; round++) {
    await select('Input Question');
    await press('Shift+ArrowRight');
    await select('Role Decomposer');
    await inspector.getByRole('tab', { name: text.tabs.prompt }).focus();
    await press('Enter');
    await inspector.getByLabel(text.user).focus();
    await press('End');
    await page.keyboard.type('.');
    if (round < 2) {
      await inspector.getByRole('tab', { name: text.tabs.reward }).focus();
      await press('Enter');
      await inspector.getByRole('button', { name: text.rewards.add }).focus();
      await press('Enter');
      await expect(inspector.getByRole('button', { name: /^Remove reward / })).toHaveCount(round + 2);
    }
    await page.getByRole('button', { name: round % 2 ? words.cast.shared : words.cast.separate, exact: true }).focus();
    await press('Enter');
    await select('Role Answerer');
    if (round % 2) {
      await press('Control+d');
      await press('Delete');
    } else {
      await page.getByRole('treeitem', { name: 'Tool Search', exact: true }).focus();
      await press('Control+ ');
      await press('Control+g');
      await expect(page.getByRole('treeitem', { name: /^Sub-workflow/ })).toBeVisible();
      await press('Control+Shift+G');
      await expect(page.getByRole('treeitem', { name: /^Sub-workflow/ })).toHaveCount(0);
    }
  }
}

/** Everything is undone; redone to the fifth last step and one more, what shows the page is killed, and the next has it all. */
export async function killedInMidEdit(
  page: Page,
  { whole, steps }: Drawn,
  exported: Exporting,
  kill: (address: string) => Promise<Page>,
): Promise<void> {
  for (let step = 0; step < steps - 5; step++) await page.keyboard.press('Control+y');
  const before = await exported(page);
  await page.keyboard.press('Control+y');
  const next = await kill(page.url());
  await expect(next.getByRole('button', { name: words.header.redo })).toBeEnabled({ timeout: 60_000 });
  await next.keyboard.press('Control+z');
  expect(await exported(next)).toEqual(before);
  for (let step = 0; step < 5; step++) await next.keyboard.press('Control+y');
  expect(await exported(next)).toEqual(whole);
  await expect(next.getByRole('button', { name: words.header.redo })).toBeDisabled();
}
