/** Every place of the workbench and its main states, one after another as a person would come to them. */
import type { Page } from '@playwright/test';
import { words } from '../../renderer/words.ts';

type Shot = { name: string; about: string; set: (page: Page) => Promise<unknown> };

const go = (page: Page, place: string): Promise<void> =>
  page.evaluate((hash) => void (location.hash = hash), `#/${place}`);
const press = (page: Page, name: string): Promise<void> => page.getByRole('button', { name, exact: true }).click();
const tree = (page: Page): Promise<void> => page.getByRole('treeitem').first().waitFor();
const closed = (page: Page): Promise<void> => page.keyboard.press('Escape');

async function trained(page: Page, steps: number): Promise<void> {
  await page.waitForFunction(
    ([label, least]) => {
      const bar = document.querySelector(`[role=progressbar][aria-label="${label}"]`)?.parentElement?.textContent ?? '';
      return Number(/step (\d+) of/.exec(bar)?.[1] ?? 0) >= Number(least);
    },
    [words.training.progress, String(steps)],
    { timeout: 400_000 },
  );
}

async function firstTrace(page: Page): Promise<void> {
  await go(page, 'traces');
  await page.getByRole('listbox', { name: words.traces.list }).getByRole('option').first().click();
  for (let visited = 0; visited < 12; visited++) {
    if (await page.getByText(words.traces.tokens.title, { exact: true }).isVisible()) break;
    await page.getByRole('button', { name: words.traces.next }).click();
  }
}

async function pinned(page: Page): Promise<void> {
  await go(page, 'team/qd-answer');
  await tree(page);
  await press(page, words.team.runOne);
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel(words.team.question).fill('Where does the friend of Mira live?');
  await dialog.getByRole('button', { name: words.team.run, exact: true }).click();
  await page.getByText(/^Answer: /).waitFor({ timeout: 120_000 });
  await page.getByRole('treeitem', { name: /^Tool/ }).click();
  await page.getByRole('button', { name: words.team.result.pin, exact: true }).click();
  await page.getByRole('region', { name: words.team.result.title }).scrollIntoViewIfNeeded();
}

async function dropDamaged(page: Page): Promise<void> {
  await go(page, 'home');
  await page.evaluate(() => {
    const held = new DataTransfer();
    held.items.add(new File(['{"troupe":"workflow","version":99}'], 'team.troupe.json'));
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: held, bubbles: true, cancelable: true }));
  });
  await page.getByRole('alert').first().waitFor();
}

async function chat(page: Page): Promise<void> {
  await page.getByRole('button', { name: words.models.chatWith('nano') }).click();
  await page.getByRole('textbox', { name: words.models.message }).fill('Question: Where does Mira live?');
  await press(page, words.models.send);
  await page.getByText(/tokens\/s/).waitFor({ timeout: 120_000 });
}

/** Each goes on from the one before; training is looked at after `steps` steps. */
export const shotsAfter = (steps: number): readonly Shot[] => [
  {
    name: 'home-first',
    about: 'Home, the first time',
    set: async (page) => {
      await page.getByRole('heading', { name: words.home.steps.each[0].what }).waitFor();
      await page.getByRole('link', { name: words.home.open('QD-Answer') }).waitFor();
    },
  },
  { name: 'home', about: 'Home', set: (page) => press(page, words.home.steps.close) },
  {
    name: 'team',
    about: 'Team: a drawn workflow, its outline and its cast',
    set: async (page) => {
      await go(page, 'team/qd-answer');
      await tree(page);
    },
  },
  { name: 'team-role', about: 'Team: one role', set: (page) => page.getByRole('treeitem').nth(1).click() },
  {
    name: 'palette',
    about: 'Find anything',
    set: async (page) => {
      await page.keyboard.press('Control+k');
      await page.getByRole('combobox', { name: words.palette.title }).fill('answer');
    },
  },
  {
    name: 'shortcuts',
    about: 'Keyboard shortcuts, each with keys of your own',
    set: async (page) => {
      await closed(page);
      await page.getByRole('button', { name: words.header.shortcuts }).click();
    },
  },
  {
    name: 'team-large',
    about: 'Team: a larger workflow',
    set: async (page) => {
      await closed(page);
      await go(page, 'team/m-ask');
      await tree(page);
    },
  },
  {
    name: 'team-empty',
    about: 'Team: an empty canvas',
    set: async (page) => {
      await press(page, words.team.newTeam);
      await page.waitForURL(/#\/team\/team/);
    },
  },
  { name: 'traces-empty', about: 'Traces before anything ran', set: (page) => go(page, 'traces') },
  {
    name: 'team-pinned',
    about: 'Team: a question answered, and a result pinned so that the rest can be tried',
    set: pinned,
  },
  {
    name: 'team-group',
    about: 'Team: inside a group, with what its nodes did and what can be done with one',
    set: async (page) => {
      await page.getByRole('treeitem', { name: /^Role Decompose/ }).click();
      await page.getByRole('treeitem', { name: /^Tool/ }).click({ modifiers: ['Control'] });
      await page.keyboard.press('Control+g');
      await page.getByRole('treeitem', { name: /^Sub-workflow/ }).dblclick();
      await page.getByRole('treeitem', { name: /^Tool/ }).click({ button: 'right' });
      await page.getByRole('combobox', { name: words.team.menu.node('Search') }).waitFor();
    },
  },
  {
    name: 'team-problem',
    about: 'Team: a problem with its place and its remedy',
    set: async (page) => {
      await closed(page);
      await page.getByRole('navigation', { name: words.team.group.way }).getByRole('button').first().click();
      await page.getByRole('treeitem', { name: /^Output/ }).click();
      await page.keyboard.press('Delete');
      await page.getByRole('button', { name: words.team.fixes.add }).waitFor();
    },
  },
  {
    name: 'training-setup',
    about: 'Training: setting up a run',
    set: async (page) => {
      await press(page, words.team.discard);
      await go(page, 'training');
      await page.getByText('"totalSteps"').waitFor();
    },
  },
  {
    name: 'training-settings',
    about: 'Training: every setting there is',
    set: async (page) => {
      await page.getByText(words.training.more.ppo(25, 0)).click();
      await page.getByLabel(words.settings.roleGradients.label).scrollIntoViewIfNeeded();
    },
  },
  {
    name: 'training',
    about: 'Training: a run under way',
    set: async (page) => {
      await go(page, 'home');
      await press(page, words.home.first);
      await page.locator('dl.gain').waitFor({ timeout: 240_000 });
      await trained(page, steps);
    },
  },
  {
    name: 'training-paused',
    about: 'Training: paused, nothing lost',
    set: async (page) => {
      await press(page, words.training.pause);
      await page.getByText(words.training.paused).waitFor({ timeout: 120_000 });
    },
  },
  {
    name: 'training-branch',
    about: 'Training: a branch with another cast, each policy with weights of its own choice',
    set: async (page) => {
      await press(page, words.training.branch);
      await page.getByRole('dialog').getByLabel(words.training.fields.cast).selectOption('separate');
    },
  },
  {
    name: 'training-steps',
    about: 'Training: some steps alone',
    set: async (page) => {
      await closed(page);
      const chart = page.getByRole('slider', { name: words.chart.cursor(words.chart.reward) });
      await chart.focus();
      await page.keyboard.press('End');
      for (let back = 0; back < 6; back++) await page.keyboard.press('ArrowLeft');
      await page.keyboard.press('+');
    },
  },
  { name: 'traces', about: 'Traces: one answer, step by step, token by token', set: firstTrace },
  {
    name: 'traces-lanes',
    about: 'Traces: the same, a lane for each role',
    set: (page) => press(page, words.traces.views.lanes),
  },
  { name: 'traces-list', about: 'Traces: all of a run', set: (page) => go(page, 'traces') },
  {
    name: 'runs',
    about: 'Training: all runs, to compare',
    set: (page) => page.goto(`${page.url().split('#')[0]}#/training?compare=`),
  },
  { name: 'home-runs', about: 'Home, with a run to go on with', set: (page) => go(page, 'home') },
  {
    name: 'models',
    about: 'Models: what is here and what fits',
    set: async (page) => {
      await go(page, 'models');
      await page.getByText(words.models.devices.looking).waitFor({ state: 'detached', timeout: 60_000 });
    },
  },
  { name: 'models-chat', about: 'Models: trying one out', set: chat },
  { name: 'refused', about: 'A file from a newer Troupe is refused in a sentence', set: dropDamaged },
];
