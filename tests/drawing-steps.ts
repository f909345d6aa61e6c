/**
 * QD-Answer drawn from an empty canvas, with the mouse and again with the keyboard alone, saved, run, with a result pinned;
 * fifty edits undone and redone; killed in mid-edit; open twice. Steps that the page and the desktop window share; things are
 * found as a person finds them.
 */
import { expect, type Locator, type Page } from '@playwright/test';
import { words } from '../renderer/words.ts';
import { expectAccessible } from './e2e-steps.ts';

const text = words.team;

/** The editor with a built-in team, from wherever the page is. */
export async function openTeam(page: Page, team = 'qd-answer'): Promise<void> {
  await page.evaluate((name) => (location.hash = `#/team/${name}`), team);
  await expect(page.getByRole('tree', { name: text.outline })).toBeVisible({ timeout: 60_000 });
}

function canvas(page: Page): Locator {
  return page.getByRole('group', { name: text.canvas });
}
function card(page: Page, name: string): Locator {
  return canvas(page).getByRole('button', { name, exact: true });
}
function port(page: Page, name: RegExp): Locator {
  return canvas(page).getByRole('button', { name });
}
async function middle(of: Locator): Promise<{ x: number; y: number }> {
  const box = await of.boundingBox();
  if (!box) throw new Error('not on the screen');
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

/** A new team with an empty canvas; returns where its canvas is. */
async function newTeam(page: Page): Promise<{ x: number; y: number; width: number; height: number }> {
  await page.getByRole('button', { name: text.newTeam }).click();
  await expect(page.getByText(text.emptyCanvas)).toBeVisible();
  const box = await canvas(page).boundingBox();
  if (!box) throw new Error('there is no canvas');
  return box;
}

async function pick(page: Page, choice: string): Promise<void> {
  const menu = page.getByRole('dialog').getByRole('combobox');
  await menu.fill(choice);
  await menu.press('Enter');
  await expect(menu).toHaveCount(0);
}

/** Pulls a wire with the mouse from a port to a point. */
async function pull(page: Page, from: Locator, to: { x: number; y: number }): Promise<void> {
  const start = await middle(from);
  await page.mouse.move(start.x, start.y);
  await page.mouse.down();
  await page.mouse.move((start.x + to.x) / 2, (start.y + to.y) / 2);
  await page.mouse.move(to.x, to.y);
}

async function outlineNames(page: Page): Promise<string[]> {
  return page
    .getByRole('tree', { name: text.outline })
    .getByRole('treeitem')
    .evaluateAll((rows) => rows.map((row) => row.getAttribute('aria-label') ?? ''));
}

export type Exported = { nodes: unknown[]; edges: unknown[]; roles: Record<string, unknown> };

/** The workflow as it would be saved, from the editor's own export. */
export type Exporting = (page: Page) => Promise<Exported>;

export function pressExport(page: Page): Promise<void> {
  return page.getByRole('button', { name: text.export }).click();
}

export const exportedByPage: Exporting = async (page) => {
  const [file] = await Promise.all([page.waitForEvent('download'), pressExport(page)]);
  const chunks: Buffer[] = [];
  for await (const chunk of await file.createReadStream()) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Exported;
};

const drawn = ['Input Question', 'Role Decomposer', 'Tool Search', 'Role Answerer', 'Output Result'];

async function noProblems(page: Page): Promise<void> {
  await expect(page.getByRole('region', { name: text.problems }).getByText(text.noProblems)).toBeVisible();
}

/** With the mouse; saved, asked, and asked again with the search's result pinned. */
export async function drawWithTheMouse(page: Page): Promise<void> {
  const area = await newTeam(page);
  const at = (x: number, y: number): { x: number; y: number } => ({
    x: area.x + x * area.width,
    y: area.y + y * area.height,
  });
  const start = at(0.14, 0.2);
  await page.mouse.dblclick(start.x, start.y);
  await pick(page, text.kinds.input);

  // From the question to empty canvas: only what can take a text is offered.
  const role = at(0.38, 0.2);
  await pull(page, port(page, /^Output question of Question/), role);
  await page.mouse.up();
  await pick(page, text.kinds.role);
  const inspector = page.getByRole('region', { name: text.inspector });
  await inspector.getByLabel(text.name, { exact: true }).fill('Decomposer');
  await inspector.getByLabel(text.name, { exact: true }).press('Enter');
  await inspector.getByLabel(text.user).fill('Search for: {{question}}');
  await inspector.getByRole('tab', { name: text.tabs.output }).click();
  await inspector.getByRole('combobox', { name: text.parser.kind, exact: true }).selectOption('tags');
  await inspector.getByLabel(text.parser.tag, { exact: true }).fill('q');
  await inspector.getByLabel(text.parser.max, { exact: true }).fill('2');
  await inspector.getByLabel(text.parser.port, { exact: true }).fill('queries');
  await inspector.getByLabel(text.parser.port, { exact: true }).press('Enter');

  const search = at(0.66, 0.2);
  await pull(page, port(page, /^Output queries of Decomposer/), search);
  await page.mouse.up();
  await pick(page, 'Search');
  const answer = at(0.38, 0.44);
  await pull(page, port(page, /^Output passages of Search/), answer);
  await page.mouse.up();
  await pick(page, text.kinds.role);
  await inspector.getByLabel(text.name, { exact: true }).fill('Answerer');
  await inspector.getByLabel(text.name, { exact: true }).press('Enter');

  // A port that does not fit says why, and takes nothing.
  await pull(page, port(page, /^Output passages of Search/), await middle(port(page, /^Input question of Decomposer/)));
  await expect(page.getByText(text.wire.types('passages', 'text'))).toBeVisible();
  await expect(port(page, /^Input question of Decomposer/)).toHaveClass(/dim/);
  await page.mouse.up();
  await pull(page, port(page, /^Output question of Question/), await middle(card(page, 'Role Answerer')));
  await page.mouse.up();
  await expect(port(page, /^Input question of Answerer, text, from question/)).toBeVisible();
  const end = at(0.66, 0.44);
  await pull(page, port(page, /^Output answer of Answerer/), end);
  await page.mouse.up();
  await pick(page, text.kinds.output);
  expect(await outlineNames(page)).toEqual(drawn);
  await noProblems(page);
  await expectAccessible(page, 'Team, drawn');

  await page.getByRole('button', { name: text.save, exact: true }).click();
  await expect(page.getByText(text.saved(text.untitled))).toBeVisible();
  await page.getByRole('button', { name: text.runOne }).click();
  await page.getByRole('dialog').getByLabel(text.question).fill('Where does the friend of Mira live?');
  await page.getByRole('dialog').getByRole('button', { name: text.run, exact: true }).click();
  await expect(page.getByText(/^Answer: /)).toBeVisible({ timeout: 60_000 });
  await expect(canvas(page).locator('.said')).toHaveCount(2);
  await expectAccessible(page, 'Team, after a question');
  await pinAndRunAgain(page);
  await page.getByRole('button', { name: text.trial.open }).click();
  await expect(page.getByRole('group', { name: words.traces.graph })).toBeVisible();
}

/** The answerer alone; then the search's result pinned, so that the decomposer is not asked again. */
async function pinAndRunAgain(page: Page): Promise<void> {
  const result = page.getByRole('region', { name: text.result.title });
  const again = async (): Promise<void> => {
    await page.getByRole('dialog').getByRole('button', { name: text.run, exact: true }).click();
    await expect(page.getByText(/^Running: /)).toBeHidden({ timeout: 60_000 });
    await expect(page.getByText(/^Answer: /)).toBeVisible();
  };
  await card(page, 'Role Answerer').click();
  await expect(result).toContainText('answer');
  await result.getByRole('button', { name: text.result.runAlone }).click();
  await again();
  await expect(canvas(page).locator('.said')).toHaveCount(1);
  await card(page, 'Tool Search').click();
  await result.getByRole('button', { name: text.result.pin, exact: true }).click();
  await expect(canvas(page).getByRole('img', { name: text.result.mark('Search') })).toBeVisible();
  await expectAccessible(page, 'Team, with a pinned result');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/pinned.png` });
  await page.getByRole('button', { name: text.runOne }).click();
  await again();
  await expect(canvas(page).locator('.said')).toHaveCount(1);
  await result.getByRole('button', { name: text.result.unpin }).click();
  await expect(canvas(page).getByRole('img', { name: text.result.mark('Search') })).toBeHidden();
}

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

/** Places, prompts, policies, copies and groups: fifty edits. */
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
