/** Team files on the desktop: opened by the system and by a second start, dropped in, remembered; the menu; kept crash reports. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { templateWorkflow } from '../../workflows/templates/index.ts';
import { words } from '../../renderer/words.ts';
import { root } from '../program.ts';
import { asRoot, expect, openDesktop, test } from './window.ts';

const team = { ...templateWorkflow('qd-answer'), name: 'from-outside', title: 'From outside' };

let folder: string;
test.beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'troupe-files-'))));
test.afterEach(() => rm(folder, { recursive: true, force: true }));

async function teamFile(name: string, title: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify({ ...team, title }));
  return path;
}

test('a file named at the start is drawn; a second start hands its file to the first and ends', async () => {
  const [first, second] = [
    await teamFile('one.troupe.json', 'The first'),
    await teamFile('two.troupe.json', 'The second'),
  ];
  const desktop = await openDesktop(folder, [first]);
  await expect(desktop.window.getByRole('heading', { level: 1 })).toContainText('The first');

  const env = { ...process.env, TROUPE_PROFILE: join(folder, 'profile'), TROUPE_WORKSPACE: join(folder, 'workspace') };
  const args = [join(root, 'dist/electron/main.cjs'), ...asRoot, second];
  const { stderr } = await promisify(execFile)(process.env.TROUPE_ELECTRON!, args, { env, timeout: 30_000 });
  expect(stderr).toContain('already open');
  await expect(desktop.window.getByRole('heading', { level: 1 })).toContainText('The second');
  expect(desktop.app.windows()).toHaveLength(2);

  expect(JSON.parse(await readFile(join(folder, 'profile/recent.json'), 'utf8'))).toEqual([second, first]);
  const recent = await desktop.app.evaluate(
    ({ Menu }, label) =>
      Menu.getApplicationMenu()!
        .items.flatMap((item) => item.submenu?.items ?? [])
        .find((item) => item.label === label)!
        .submenu!.items.map((item) => item.label),
    words.desktop.menu.recent,
  );
  expect(recent.slice(0, 2)).toEqual(['two.troupe.json', 'one.troupe.json']);
  await desktop.app.close();
});

test('a file that is opened twice is drawn twice, and neither drawing is lost', async () => {
  const file = await teamFile('one.troupe.json', 'The first');
  const desktop = await openDesktop(folder, [file]);
  const { window } = desktop;
  await expect(window.getByRole('heading', { level: 1 })).toContainText('The first');
  await window.getByLabel(words.team.teamTitle).fill('Changed here');
  const env = { ...process.env, TROUPE_PROFILE: join(folder, 'profile'), TROUPE_WORKSPACE: join(folder, 'workspace') };
  const args = [join(root, 'dist/electron/main.cjs'), ...asRoot, file];
  await promisify(execFile)(process.env.TROUPE_ELECTRON!, args, { env, timeout: 30_000 });
  await expect(window).toHaveURL(/#\/team\/from-outside-2$/);
  await expect(window.getByRole('heading', { level: 1 })).toContainText('The first');
  await window.getByRole('combobox', { name: words.team.choose, exact: true }).selectOption('from-outside');
  await expect(window.getByRole('heading', { level: 1 })).toContainText('Changed here');
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ title: 'The first' });
  await desktop.app.close();
});

test('a damaged file and a missing one are refused in a sentence', async () => {
  const bad = join(folder, 'bad.troupe.json');
  await writeFile(bad, '{"troupe":"workflow","version":99}');
  const desktop = await openDesktop(folder, [bad, join(folder, 'gone.troupe.json')]);
  await expect(desktop.window.getByText(/comes from a newer Troupe: version 99/)).toBeVisible();
  await expect(desktop.window.getByText(/No such file: .*gone\.troupe\.json/)).toBeVisible();
  expect(await readFile(bad, 'utf8')).toBe('{"troupe":"workflow","version":99}');
  await desktop.app.close();
});

test('a dropped file is drawn and another kind is refused', async ({ desktop: { window: page } }) => {
  const drop = (name: string, text: string): Promise<void> =>
    page.evaluate(
      ([fileName, content]) => {
        const held = new DataTransfer();
        held.items.add(new File([content], fileName));
        for (const type of ['dragover', 'drop'])
          document.body.dispatchEvent(new DragEvent(type, { dataTransfer: held, bubbles: true, cancelable: true }));
      },
      [name, text] as const,
    );
  await drop('cat.jpg', 'x');
  await expect(page.getByText(words.desktop.files.notHere('cat.jpg'))).toBeVisible();
  await drop('mine.troupe.json', JSON.stringify({ ...team, title: 'Dropped in' }));
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Dropped in');
});

test('the menu does what the page’s shortcuts do', async ({ desktop: { window: page, app } }) => {
  const click = (label: string): Promise<void> =>
    app.evaluate(({ Menu }, wanted) => {
      const items = Menu.getApplicationMenu()!.items.flatMap((item) => item.submenu?.items ?? []);
      items.find((item) => item.label === wanted)!.click();
    }, label);
  await click(words.nav.models);
  await expect(page).toHaveURL(/#\/models$/);
  await click(words.desktop.menu.newTeam);
  await expect(page).toHaveURL(/#\/team\/team/);
  await click(words.shortcuts.title);
  await expect(page.getByRole('dialog', { name: words.shortcuts.title })).toBeVisible();
});

test('a session that was killed leaves a report here, and the next one says so', async () => {
  const first = await openDesktop(folder);
  await expect(first.window.getByRole('contentinfo')).not.toContainText(words.status.noDevice, { timeout: 60_000 });
  const ended = new Promise((settle) => first.app.process().once('exit', settle));
  first.app.process().kill('SIGKILL');
  await ended;
  const second = await openDesktop(folder);
  await expect(second.window.getByText(/did not end by itself last time/)).toBeVisible();
  const reports = (await readdir(join(folder, 'profile/crashes'))).filter((name) => name.endsWith('.json'));
  // A start that the debugger lost, and that was made again, is a killed session too.
  expect(reports.length).toBeGreaterThanOrEqual(1);
  await second.app.close();
  const third = await openDesktop(folder);
  await expect(third.window.getByRole('contentinfo')).not.toContainText(words.status.noDevice, { timeout: 60_000 });
  await expect(third.window.getByText(/did not end by itself last time/)).toBeHidden();
  await third.app.close();
});
