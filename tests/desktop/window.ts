/** A test whose window is the built desktop shell with a workspace and a profile of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { _electron, errors, test as base, type ElectronApplication, type Page } from '@playwright/test';
import { root } from '../program.ts';

/** Chromium refuses to sandbox when root runs it. */
export const asRoot = process.platform === 'linux' && process.getuid?.() === 0 ? ['--no-sandbox'] : [];

type Desktop = { app: ElectronApplication; window: Page; workspace: string };

async function windowAt(app: ElectronApplication, page: string): Promise<Page> {
  const found = (): Page | undefined => app.windows().find((one) => one.url().includes(page));
  return found() ?? app.waitForEvent('window', { predicate: (one) => one.url().includes(page), timeout: 30_000 });
}

export const hostOf = (app: ElectronApplication): Promise<Page> => windowAt(app, 'host.html');

/**
 * What Playwright attached to. Its debugger now and then attaches to a page in the moment that the page changes its process,
 * on a busy machine, and then waits for ever; what begins anew attaches.
 */
export async function attached<T>(attach: () => Promise<T>): Promise<T> {
  for (let left = 2; ; left -= 1) {
    try {
      return await attach();
    } catch (error) {
      if (left === 0 || !(error instanceof errors.TimeoutError)) throw error;
    }
  }
}

/** Starts the shell with its workspace and profile in `folder`; whoever starts it closes it. */
export async function openDesktop(folder: string, args: readonly string[] = []): Promise<Desktop> {
  const workspace = join(folder, 'workspace');
  const app = await attached(() =>
    _electron.launch({
      executablePath: process.env.TROUPE_ELECTRON,
      args: [join(root, 'dist/electron/main.cjs'), ...asRoot, ...args],
      env: { ...process.env, TROUPE_WORKSPACE: workspace, TROUPE_PROFILE: join(folder, 'profile'), CI: '1' } as Record<
        string,
        string
      >,
      timeout: 45_000,
    }),
  );
  const window = await windowAt(app, 'index.html');
  await window.waitForLoadState();
  return { app, window, workspace };
}

/** As `kill -9` does it; returns once nothing of it is left. */
export async function killed(app: ElectronApplication): Promise<void> {
  const ended = new Promise((settle) => app.process().once('exit', settle));
  app.process().kill('SIGKILL');
  await ended;
}

export const test = base.extend<{ desktop: Desktop }>({
  desktop: async ({ browserName }, use) => {
    void browserName;
    const folder = await mkdtemp(join(tmpdir(), 'troupe-desktop-'));
    const desktop = await openDesktop(folder);
    await use(desktop);
    await desktop.app.close();
    await rm(folder, { recursive: true, force: true });
  },
});

export { expect } from '@playwright/test';
