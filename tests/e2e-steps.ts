/**
 * What a newcomer does, as steps that the page and the desktop window share. A step finds things as a person does: by what
 * they are and what they are called.
 */
import AxeBuilder from '@axe-core/playwright';
import { expect, type Page } from '@playwright/test';
import { words } from '../renderer/words.ts';

const trainingLimit = 240_000;

async function goTo(page: Page, place: 'home' | 'team' | 'traces' | 'training' | 'models'): Promise<void> {
  await page.getByRole('navigation', { name: words.nav.label }).getByRole('link', { name: words.nav[place] }).click();
}

/** Axe finds nothing on the screen shown; `screen` names it in the report. */
export async function expectAccessible(page: Page, screen: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page })
    .setLegacyMode()
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  const found = violations.map(
    (one) => `${one.id}: ${one.help} (${one.nodes.map((node) => node.target.join(' ')).join('; ')})`,
  );
  expect(found, `axe on ${screen}`).toEqual([]);
}

/** A figure of the summary under a run's controls. */
async function figure(page: Page, name: string): Promise<number> {
  return Number(
    await page
      .locator('dl.gain > div')
      .filter({ has: page.locator('dt', { hasText: new RegExp(`^${name}$`) }) })
      .locator('dd')
      .innerText(),
  );
}

/** Step that the status bar shows, or that the run's list shows once nothing runs. */
async function step(page: Page): Promise<number> {
  const text = await page.getByRole('contentinfo').innerText();
  return Number(/step (\d+) of/.exec(text)?.[1] ?? -1);
}

export async function startFirstTeam(page: Page): Promise<void> {
  await expect(page.getByRole('contentinfo')).not.toContainText(words.status.noDevice, { timeout: 60_000 });
  await expectAccessible(page, 'Home');
  await page.getByRole('button', { name: words.home.first }).click();
  await expect(page).toHaveURL(/#\/training\/.+/);
}

/** The held-out score was measured before training and is higher at a later test. */
export async function seeTheCurveRise(page: Page): Promise<void> {
  await expect(page.locator('dl.gain')).toBeVisible({ timeout: trainingLimit });
  const before = await figure(page, `${words.chart.f1} ${words.training.before}`);
  expect(before).toBeGreaterThan(0);
  await expect
    .poll(() => figure(page, words.training.now), { timeout: trainingLimit, intervals: [1_000] })
    .toBeGreaterThan(before + 0.02);
  await expectAccessible(page, 'Training');
}

export async function pauseReloadResume(page: Page): Promise<void> {
  await page.getByRole('button', { name: words.training.pause, exact: true }).click();
  await expect(page.getByText(words.training.paused)).toBeVisible({ timeout: 120_000 });
  const before = {
    now: await figure(page, words.training.now),
    charts: await page.locator('.charts > *').count(),
    at: await step(page),
  };
  await page.reload();
  await expect(page.getByText(words.training.paused)).toBeVisible({ timeout: 60_000 });
  expect(await figure(page, words.training.now)).toBe(before.now);
  expect(await page.locator('.charts > *').count()).toBe(before.charts);
  await page.getByRole('button', { name: words.training.resume, exact: true }).click();
  await expect.poll(() => step(page), { timeout: 120_000, intervals: [500] }).toBeGreaterThan(Math.max(0, before.at));
}

/** What shows the running job is killed; the next has its charts and its job, and goes on where it was. */
export async function killedInMidRun(page: Page, kill: (address: string) => Promise<Page>): Promise<Page> {
  const [charts, before] = [await page.locator('.charts > *').count(), await step(page)];
  expect(before).toBeGreaterThan(0);
  const next = await kill(page.url());
  await expect(next.getByText(words.training.paused)).toBeVisible({ timeout: 60_000 });
  await expect(next.locator('.charts > *')).toHaveCount(charts);
  expect(await figure(next, `${words.chart.f1} ${words.training.before}`)).toBeGreaterThan(0);
  await next.getByRole('button', { name: words.training.resume, exact: true }).click();
  await expect.poll(() => step(next), { timeout: 120_000, intervals: [500] }).toBeGreaterThan(before);
  return next;
}

/** From the first point of the score's curve to the traces of its step. */
export async function openAPointsTraces(page: Page): Promise<void> {
  const point = page.getByRole('slider', { name: words.chart.cursor(words.chart.f1) });
  await point.focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/#\/traces\/[^/?]+\?step=\d+$/);
  await expect(page.getByRole('listbox', { name: words.traces.list }).getByRole('option').first()).toBeVisible();
}

/** A held-out answer beside the one that the same question got at another step. */
export async function compareTwoAnswers(page: Page): Promise<void> {
  const text = words.traces;
  await page.getByRole('combobox', { name: text.phase }).selectOption({ label: text.phases.eval });
  await page.getByRole('listbox', { name: text.list }).getByRole('option').first().click();
  await page.getByText(text.compare.title).click();
  await page
    .getByRole('button', { name: new RegExp(`^step \\d+, ${text.phases.eval}, score`) })
    .first()
    .click();
  await expect(page.getByText(/^Compared with step \d+ of /)).toBeVisible();
  await page.getByRole('button', { name: text.views.changes, exact: true }).click();
  await expect(page.getByText(/records? came out (otherwise|the same)/).first()).toBeVisible();
  await expectAccessible(page, 'Traces, compared');
  await page.getByRole('button', { name: text.compare.stop }).click();
}

/** Opens the first trace of the run and walks it with keys and buttons. */
export async function stepThroughATrace(page: Page): Promise<void> {
  await goTo(page, 'traces');
  await page.getByRole('listbox', { name: words.traces.list }).getByRole('option').first().click();
  const text = words.traces;
  const at = (place: number): Promise<void> =>
    expect(page.getByText(new RegExp(`^step ${place} of \\d+`)).first()).toBeVisible();
  await at(1);
  await page.keyboard.press('ArrowRight');
  await at(2);
  await page.getByRole('button', { name: text.next }).click();
  await at(3);
  await page.keyboard.press('ArrowLeft');
  await at(2);
  await page.getByRole('button', { name: text.previous }).click();
  await at(1);
  for (let visited = 1; visited < 12; visited++) {
    if (await page.getByText(text.tokens.title, { exact: true }).isVisible()) break;
    await page.getByRole('button', { name: text.next }).click();
  }
  await expect(page.getByRole('heading', { name: text.prompt })).toBeVisible();
  await expect(page.getByRole('heading', { name: text.output })).toBeVisible();
  await expectAccessible(page, 'Traces');
  await lookRound(page);
}

/** The other views of a trace, a tag that the list then knows, and every filter in sight. */
async function lookRound(page: Page): Promise<void> {
  const text = words.traces;
  const view = (name: string): Promise<void> => page.getByRole('button', { name, exact: true }).click();
  await view(text.views.lanes);
  await page.getByText(text.moreFilters(0)).click();
  await page.getByText(text.chooseColumns, { exact: true }).click();
  await page.getByText(text.compare.title).click();
  await page.getByText(text.notes.add).first().click();
  await page.getByRole('textbox', { name: text.notes.of(text.notes.trace) }).fill('the first one');
  await page.getByRole('combobox', { name: text.notes.tagsOf(text.notes.trace) }).fill('seen');
  await page.keyboard.press('Enter');
  await page.getByRole('combobox', { name: text.tag, exact: true }).selectOption('seen');
  await expect(page.getByText(text.total('1'), { exact: true })).toBeVisible();
  await expectAccessible(page, 'Traces, lanes and filters');
  await page.getByRole('button', { name: text.clearFilters }).click();
  await page.getByText(text.moreFilters(0)).click();
  await view(text.views.text);
  await expectAccessible(page, 'Traces, text');
  await view(text.views.graph);
}

/** Gives each role a policy of its own, then moves one by dragging and back by keyboard. */
export async function moveARole(page: Page): Promise<void> {
  await goTo(page, 'team');
  const text = words.cast;
  await page.getByRole('button', { name: text.separate, exact: true }).click();
  const rows = page.getByRole('radiogroup');
  await expect(rows).toHaveCount(2);
  const policies = page.locator('.policy');
  await expect(policies).toHaveCount(2);
  const checked = (row: number): Promise<number> =>
    rows
      .nth(row)
      .getByRole('radio')
      .evaluateAll((radios) => radios.findIndex((radio) => (radio as HTMLInputElement).checked));
  expect([await checked(0), await checked(1)]).toEqual([0, 1]);

  await rows.nth(1).locator('[draggable="true"]').dragTo(policies.first());
  await expect.poll(() => checked(1)).toBe(0);
  await rows.nth(1).getByRole('radio').first().focus();
  await page.keyboard.press('ArrowRight');
  await expect.poll(() => checked(1)).toBe(1);
  await page.getByRole('button', { name: text.shared, exact: true }).click();
  await expect(policies).toHaveCount(1);
  await expectAccessible(page, 'Team');
}

export async function seeTheModels(page: Page): Promise<void> {
  await goTo(page, 'models');
  await expect(page.getByText('nano').first()).toBeVisible();
  await expectAccessible(page, 'Models');
}

/** Puts other words into the record at hand, runs the trace on from there, and goes back to the original. */
export async function forkARecord(page: Page): Promise<void> {
  const text = words.traces.fork;
  await page.getByText(text.title, { exact: true }).click();
  await page.getByRole('textbox', { name: text.kinds.text }).fill('<q> Nobody </q>');
  await page.getByRole('button', { name: text.runOn }).click();
  await expect(page.getByText(/^Fork at /).first()).toBeVisible({ timeout: 120_000 });
  await expect(page.getByText(text.standing.changed, { exact: true }).first()).toBeVisible();
  await expectAccessible(page, 'Traces, a fork');
  await page.getByRole('button', { name: text.original }).click();
  await expect(page.getByText(text.list(1))).toBeVisible();
}
