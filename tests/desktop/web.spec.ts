/** A tool reads the web in the window only after it was ticked for the team and allowed by the system's own question. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { words } from '../../renderer/words.ts';
import { expect, test } from './window.ts';

const { team } = words;

/** A name that no name server knows: what is allowed and looked up fails with another sentence than what is not allowed. */
const host = 'pages.troupe.invalid';
const reader = {
  troupe: 'workflow',
  version: 2,
  name: 'reader',
  title: 'Reader',
  roles: {
    solver: {
      title: 'Solver',
      prompt: { user: '{{passages | lines}}\nQuestion: {{question}}' },
      parser: { kind: 'text', port: 'answer' },
      sampling: { maxTokens: 4 },
    },
  },
  nodes: [
    { id: 'question', kind: 'input', outputs: [{ name: 'question', type: 'text' }] },
    { id: 'read', kind: 'tool', tool: 'web-fetch', settings: { hosts: [host] } },
    {
      id: 'answer',
      kind: 'role',
      role: 'solver',
      inputs: [
        { name: 'question', type: 'text' },
        { name: 'passages', type: 'passages' },
      ],
    },
    { id: 'result', kind: 'output', inputs: [{ name: 'answer', type: 'text' }] },
  ],
  edges: [
    ['question.question', 'read.urls'],
    ['question.question', 'answer.question'],
    ['read.passages', 'answer.passages'],
    ['answer.answer', 'result.answer'],
  ].map(([from, to]) => {
    const end = (text: string) => ({ node: text.split('.')[0], port: text.split('.')[1] });
    return { from: end(from), to: end(to) };
  }),
  rewards: { rules: [] },
};

async function written(folder: string): Promise<string> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
  const texts = files.map((file) => readFile(join(file.parentPath, file.name), 'utf8').catch(() => ''));
  return (await Promise.all(texts)).join('\n');
}

test('reads the web only where it was ticked and then allowed', async ({
  desktop: { app, window: page, workspace },
}) => {
  const asked = (): Promise<number> => app.evaluate(() => Number(process.env['TROUPE_TEST_ASKED'] ?? 0));
  const allow = (response: number) =>
    app.evaluate(({ dialog }, answer) => {
      dialog.showMessageBox = (async () => {
        process.env['TROUPE_TEST_ASKED'] = String(Number(process.env['TROUPE_TEST_ASKED'] ?? 0) + 1);
        return { response: answer, checkboxChecked: false };
      }) as never;
    }, response);
  await page.getByRole('navigation', { name: words.nav.label }).getByRole('link', { name: words.nav.team }).click();
  await page.evaluate((text) => {
    const held = new DataTransfer();
    held.items.add(new File([text], 'reader.troupe.json'));
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: held, bubbles: true, cancelable: true }));
  }, JSON.stringify(reader));
  await expect(page.getByRole('treeitem', { name: /web-fetch/ })).toBeVisible();
  const ask = async (web: boolean): Promise<void> => {
    await page.getByRole('button', { name: team.runOne }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(team.question).fill(`https://${host}/page`);
    const box = dialog.getByRole('checkbox', { name: team.web([host]) });
    await box.setChecked(web);
    await dialog.getByRole('button', { name: team.run, exact: true }).click();
    await expect(page.getByText(/^Answer: /)).toBeVisible({ timeout: 60_000 });
  };
  const saw = (text: RegExp) => expect.poll(() => written(workspace), { timeout: 30_000 }).toMatch(text);
  await allow(1);
  await ask(false);
  await saw(/The web is off for this run/);
  expect(await asked()).toBe(0);
  await ask(true);
  await saw(/Nothing was read from pages\.troupe\.invalid/);
  expect(await asked()).toBe(1);
  await allow(0);
  await ask(true);
  await saw(/The page could not be read|No page within/);
  await ask(true);
  expect(await asked()).toBe(2);
});
