/**
 * QD-Answer drawn from an empty canvas with the mouse, saved, run, with a result pinned; wires, groups, notes and copies. Steps
 * that the page and the desktop window share; things are found as a person finds them.
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

async function newTeam(page: Page): Promise<void> {
  await page.getByRole('button', { name: text.newTeam }).click();
  await expect(page.getByText(text.emptyCanvas)).toBeVisible();
}

/** A point of the canvas, in shares of its size, once it is on the screen; a large page must be scrolled there. */
async function spot(page: Page, x: number, y: number): Promise<{ x: number; y: number }> {
  await canvas(page).evaluate((element) => element.scrollIntoView({ block: 'center' }));
  const box = await canvas(page).boundingBox();
  if (!box) throw new Error('there is no canvas');
  return { x: box.x + x * box.width, y: box.y + y * box.height };
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

export async function outlineNames(page: Page): Promise<string[]> {
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

export const drawn = ['Input Question', 'Role Decomposer', 'Tool Search', 'Role Answerer', 'Output Result'];

export async function noProblems(page: Page): Promise<void> {
  await expect(page.getByRole('region', { name: text.problems }).getByText(text.noProblems)).toBeVisible();
}

/** With the mouse; saved, asked, and asked again with the search's result pinned. */
export async function drawWithTheMouse(page: Page): Promise<void> {
  await newTeam(page);
  const at = (x: number, y: number): Promise<{ x: number; y: number }> => spot(page, x, y);
  const start = await at(0.14, 0.2);
  await page.mouse.dblclick(start.x, start.y);
  await pick(page, text.kinds.input);

  // From the question to empty canvas: only what can take a text is offered.
  const role = await at(0.38, 0.22);
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

  const search = await at(0.66, 0.22);
  await pull(page, port(page, /^Output queries of Decomposer/), search);
  await page.mouse.up();
  await pick(page, 'Search');
  const answer = await at(0.38, 0.74);
  await pull(page, port(page, /^Output passages of Search/), answer);
  await page.mouse.up();
  await pick(page, text.kinds.role);
  await inspector.getByLabel(text.name, { exact: true }).fill('Answerer');
  await inspector.getByLabel(text.name, { exact: true }).press('Enter');

  // A port that does not fit says why, and takes nothing.
  await at(0, 0);
  await pull(page, port(page, /^Output passages of Search/), await middle(port(page, /^Input question of Decomposer/)));
  await expect(page.getByText(text.wire.types('passages', 'text'))).toBeVisible();
  await expect(port(page, /^Input question of Decomposer/)).toHaveClass(/dim/);
  await page.mouse.up();
  await pull(page, port(page, /^Output question of Question/), await middle(card(page, 'Role Answerer')));
  await page.mouse.up();
  await expect(port(page, /^Input question of Answerer, text, from question/)).toBeVisible();
  const end = await at(0.66, 0.74);
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

async function fromMenu(page: Page, on: Locator | { x: number; y: number }, action: string): Promise<void> {
  if ('x' in on) await page.mouse.click(on.x, on.y, { button: 'right' });
  else await on.click({ button: 'right' });
  const menu = page.getByRole('combobox', { name: /^What to do/ });
  await menu.fill(action);
  await menu.press('Enter');
  await expect(menu).toHaveCount(0);
}

/** QD-Answer's search in a group: moved, run to and pinned there; the pin follows its node, also back, and outlives a reload. */
export async function workInAGroup(page: Page, exported: Exporting): Promise<void> {
  const { actions } = text.menu;
  const mark = (name: string): Locator => canvas(page).getByRole('img', { name, exact: true });
  const inspector = page.getByRole('region', { name: text.inspector });
  await card(page, 'Role Decompose').click();
  await card(page, 'Tool Search').click({ modifiers: ['Control'] });
  await fromMenu(page, card(page, 'Tool Search'), actions.group);
  await card(page, 'Sub-workflow Group').dblclick();
  const way = page.getByRole('navigation', { name: text.group.way });
  await expect(way.getByRole('button', { name: 'Group' })).toHaveAttribute('aria-current', 'location');
  const from = await middle(card(page, 'Tool Search'));
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(from.x + 30, from.y + 40, { steps: 4 });
  await page.mouse.up();
  const { workflows } = (await exported(page)) as Exported & { workflows: Record<string, { layout?: object }> };
  expect(Object.keys(workflows.group.layout ?? {})).toContain('search');

  await fromMenu(page, card(page, 'Tool Search'), actions['run-here']);
  await page.getByRole('dialog').getByLabel(text.question).fill('Where does the friend of Mira live?');
  await page.getByRole('dialog').getByRole('button', { name: text.run, exact: true }).click();
  await expect(mark(text.went.done('Search', 1))).toBeVisible({ timeout: 60_000 });
  await expect(page.getByText(/^Running: /)).toBeHidden({ timeout: 60_000 });
  await card(page, 'Tool Search').click();
  await page.keyboard.press('p');
  await expect(mark(text.result.mark('Search'))).toBeVisible();
  await inspector.getByLabel(text.name, { exact: true }).fill('Finder');
  await inspector.getByLabel(text.name, { exact: true }).press('Enter');
  await expect(mark(text.result.mark('Finder'))).toBeVisible();
  await card(page, 'Tool Finder').focus();
  await page.keyboard.press('Control+z');
  await expect(mark(text.result.mark('Search'))).toBeVisible();
  await page.keyboard.press('Control+y');
  await expect(mark(text.result.mark('Finder'))).toBeVisible();
  await expectAccessible(page, 'Team, in a group');
  await way.getByRole('button').first().click();
  await expect(mark(text.result.markInner('Group'))).toBeVisible();
  await page.reload();
  await expect(mark(text.result.markInner('Group'))).toBeVisible({ timeout: 60_000 });
  await page.getByRole('button', { name: text.runOne }).click();
  await page.getByRole('dialog').getByLabel(text.question).fill('Where does the friend of Mira live?');
  await page.getByRole('dialog').getByRole('button', { name: text.run, exact: true }).click();
  await expect(page.getByText(/^Answer: /)).toBeVisible({ timeout: 60_000 });
  await expect(canvas(page).locator('.said')).toHaveCount(1);
  await fromMenu(page, card(page, 'Sub-workflow Group'), actions.ungroup);
  await expect(mark(text.result.mark('Finder'))).toBeVisible();
}

/** A node goes into a wire, a wire is taken off its port, the problem leads there, and a cast stays with the team. */
export async function rewire(page: Page, exported: Exporting): Promise<void> {
  const { actions } = text.menu;
  const [a, b] = [
    await middle(port(page, /^Output questions of Decompose/).locator('.dot-plug')),
    await middle(port(page, /^Input queries of Search/).locator('.dot-plug')),
  ];
  await fromMenu(page, { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }, actions['insert-node']);
  await pick(page, text.kinds.compute);
  await expect(page.getByRole('treeitem', { name: /^Compute/ })).toBeVisible();
  await expect(port(page, /^Input queries of Search, list, from compute/)).toBeVisible();
  await page.keyboard.press('Control+z');
  await expect(page.getByRole('treeitem', { name: /^Compute/ })).toHaveCount(0);

  await pull(page, port(page, /^Input passages of Answer/), await spot(page, 0.5, 0.9));
  await page.mouse.up();
  await pick(page, text.wire.remove);
  await expect(port(page, /^Input passages of Answer, passages, not connected/)).toBeVisible();
  const problem = page.getByRole('region', { name: text.problems }).getByRole('button', { name: /answer\.passages/ });
  await problem.click();
  await expect(card(page, 'Role Answer')).toBeFocused();
  await expect(canvas(page).getByRole('img', { name: /answer\.passages/ })).toBeVisible();
  await expectAccessible(page, 'Team, with a problem');
  await page.keyboard.press('Control+z');
  await noProblems(page);

  const cast = page.getByRole('region', { name: words.cast.title });
  await cast.getByRole('button', { name: words.cast.addPolicy }).click();
  await cast.getByRole('radio', { name: words.cast.choice('answerer', 'policy-2') }).click();
  await cast.getByRole('combobox', { name: `${words.cast.method}, policy-2` }).selectOption('frozen');
  await cast.getByRole('button', { name: words.cast.keepInTeam }).click();
  await cast.getByRole('textbox', { name: words.cast.keepName }).fill('half');
  await page.keyboard.press('Enter');
  await expect(cast.getByRole('button', { name: 'half', exact: true })).toHaveAttribute('aria-pressed', 'true');
  const { casts } = (await exported(page)) as Exported & { casts: Record<string, { roles: object }> };
  expect(casts.half.roles).toEqual({ decomposer: 'team', answerer: 'policy-2' });
  await cast.getByRole('button', { name: words.cast.title, exact: true }).click();
  await expect(cast.getByRole('radio').first()).toBeHidden();
  await cast.getByRole('button', { name: words.cast.title, exact: true }).click();
}

/** A note is written, moved with the mouse and with a key, and taken away; nothing that runs knows of it. */
export async function takeANote(page: Page, exported: Exporting): Promise<void> {
  const notes = async (): Promise<{ text: string; x: number; y: number }[]> =>
    ((await exported(page)) as Exported & { notes?: { text: string; x: number; y: number }[] }).notes ?? [];
  await page.getByRole('treeitem').first().focus();
  await page.keyboard.press('a');
  await pick(page, text.note.name);
  await expect(page.getByRole('textbox', { name: text.note.name })).toBeFocused();
  await page.keyboard.type('Two searches are enough.');
  const [before] = await notes();
  expect(before.text).toBe('Two searches are enough.');
  const grip = canvas(page).getByRole('button', { name: text.note.move });
  await canvas(page).evaluate((element) => element.scrollIntoView({ block: 'center' }));
  const from = await middle(grip);
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(from.x + 40, from.y - 10, { steps: 3 });
  await page.mouse.up();
  const [moved] = await notes();
  expect(moved.x).toBeGreaterThan(before.x + 20);
  await grip.focus();
  await page.keyboard.press('ArrowDown');
  expect((await notes())[0]).toMatchObject({ x: moved.x, y: moved.y + 12 });
  await expectAccessible(page, 'Team, with a note');
  await canvas(page).getByRole('button', { name: text.note.remove }).click();
  expect(await notes()).toEqual([]);
  await noProblems(page);
}

/** A copy of the team is saved, and deleted for good after a question; the team itself stays. */
export async function copyAndDelete(page: Page): Promise<void> {
  const heading = page.getByRole('heading', { level: 1 });
  const before = await heading.innerText();
  await page.getByRole('button', { name: text.duplicateTeam }).click();
  const copied = text.copyTitle('QD-Answer');
  await expect(heading).toContainText(copied);
  await page.getByRole('button', { name: text.save, exact: true }).click();
  await expect(page.getByText(text.saved(copied))).toBeVisible();
  await page.getByRole('button', { name: text.removeTeam }).click();
  const dialog = page.getByRole('dialog', { name: text.removeTeam });
  await expectAccessible(page, 'Team, before it is deleted');
  await dialog.getByRole('button', { name: text.removeTeam }).click();
  await expect(page.getByText(text.removed(copied))).toBeVisible();
  await expect(heading).toHaveText(before);
  const teams = page.getByRole('combobox', { name: text.choose, exact: true }).getByRole('option');
  expect(await teams.allInnerTexts()).not.toContain(copied);
  await expect(page.getByRole('button', { name: text.removeTeam })).toHaveCount(0);
}
