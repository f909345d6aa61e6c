/**
 * The desktop shell: one instance, one visible window, one hidden window that does the work. It serves the pages and the
 * workspace folder, refuses everything else, and does not end before a running job has written itself down.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { app, crashReporter, dialog, safeStorage, session, shell, type BrowserWindow } from 'electron';
import type { News } from '../renderer/app/news.ts';
import { words } from '../renderer/words.ts';
import { openNodeDownloads } from '../workflows/download/downloads.node.ts';
import type { ControllerEvents } from '../workflows/protocol.ts';
import { openNodeStore } from '../workflows/workspace/store.node.ts';
import { keepReport, watchSession, type Watch } from './crash-report.ts';
import { openDocuments } from './documents.ts';
import { openHostWindow, type HostWindow } from './host-window.ts';
import { openKeys } from './keys.ts';
import { filesNamed } from './open-files.ts';
import { registerScheme, servePages } from './protocol.ts';
import { denyByDefault, guardEveryPage } from './security.ts';
import { openServices, type Permissions } from './services.ts';
import { movingJobs, settleJobs, within } from './settle.ts';
import { hasFeed, watchUpdates } from './updates.ts';
import { openWindow, type ScreenWindow } from './window.ts';

const settleLimitMs = 120_000;
/** A controller that has never answered is still opening its device, and nothing can run yet. */
const firstAnswerMs = 1_000;
const pages = join(__dirname, '../renderer');

let host: HostWindow | null = null;
let screen: ScreenWindow | null = null;
let watch: Watch | null = null;
/** What was told, and which files were named, before there was a window. */
const early: News[] = [];
let named: string[] = filesNamed(process.argv, process.cwd());
let openFiles: ((paths: readonly string[]) => Promise<void>) | null = null;
let answered = false;
let ending: 'no' | 'settling' | 'settled' = 'no';

function chooseSwitches(): void {
  if (process.platform !== 'linux') return;
  // On Linux Chromium offers WebGPU only when asked, and then through Vulkan.
  app.commandLine.appendSwitch('enable-unsafe-webgpu');
  if (!app.commandLine.hasSwitch('enable-features')) app.commandLine.appendSwitch('enable-features', 'Vulkan');
}

const crashes = (): string => join(app.getPath('userData'), 'crashes');

function fail(reason: string, details?: string): void {
  if (ending !== 'no') return;
  console.error(reason);
  keepReport(crashes(), { what: reason, ...(details === undefined ? {} : { details }) });
  watch?.end();
  if (!process.env.CI) dialog.showErrorBox(words.desktop.crash.title, words.desktop.crash.detail(reason));
  ending = 'settled';
  app.exit(1);
}

function failWith(failure: unknown): void {
  if (failure instanceof Error) fail(failure.message, failure.stack);
  else fail(String(failure));
}

function tell(news: News): void {
  if (screen && !screen.window.isDestroyed()) screen.tell(news);
  else early.push(news);
}

/** Closing the window while something trains asks first. */
async function mayClose(target: BrowserWindow): Promise<boolean> {
  const jobs = host
    ? await within(movingJobs(host.controller), answered ? 10_000 : firstAnswerMs, []).catch(() => [])
    : [];
  if (!jobs.length) return true;
  const text = words.desktop.closing;
  const { response } = await dialog.showMessageBox(target, {
    type: 'question',
    message: text.message(jobs.map((job) => text.job(job.title, job.step, job.steps)).join('; ')),
    detail: text.detail,
    buttons: [text.quit, text.keep],
    defaultId: 0,
    cancelId: 1,
  });
  return response === 0;
}

/** A team's file may come from anyone, so the person says where its words may go, with which key, and what its tools may read. */
const permissions: Permissions = {
  maySend: (origin, keyFrom) =>
    yes({
      message: `A role of this team is played by ${origin}. Send it what the role is asked?`,
      detail: keyFrom === undefined ? 'It is sent no key.' : `It is sent the key ${keyFrom}.`,
      buttons: ['Send until Troupe ends', 'Do not send'],
    }),
  mayRead: (hosts) =>
    yes({
      message: `A tool of this team reads pages of ${hosts.slice(0, 5).join(', ')}${hosts.length > 5 ? ` and ${hosts.length - 5} more hosts` : ''}. Let it?`,
      detail: 'Only the address of a page is sent. A role of the team chooses which pages.',
      buttons: ['Read until Troupe ends', 'Do not read'],
    }),
};

async function yes(question: { message: string; detail: string; buttons: string[] }): Promise<boolean> {
  const { response } = await dialog.showMessageBox({ type: 'question', ...question, defaultId: 1, cancelId: 1 });
  return response === 0;
}

function show(): void {
  if (screen && !screen.window.isDestroyed()) {
    if (screen.window.isMinimized()) screen.window.restore();
    screen.window.focus();
    return;
  }
  if (!host) return;
  screen = openWindow(join(__dirname, 'preload.cjs'), join(app.getPath('userData'), 'window.json'), host.addClient);
  for (const news of early.splice(0)) screen.tell(news);
  const shown = screen.window;
  shown.webContents.on('render-process-gone', (_event, { reason, exitCode }) => {
    if (ending !== 'no' || reason === 'clean-exit') return;
    keepReport(crashes(), { what: `the page's process ended: ${reason}`, details: `exit code ${exitCode}` });
    shown.webContents.reload();
  });
  shown.on('close', (event) => {
    if (ending !== 'no') return;
    event.preventDefault();
    void mayClose(shown).then((yes) => yes && app.quit());
  });
}

function settleThenQuit(event: Electron.Event): void {
  if (ending === 'settled' || !host) return;
  event.preventDefault();
  if (ending === 'settling') return;
  ending = 'settling';
  screen?.window.setTitle(words.desktop.closing.saving);
  void within(settleJobs(host.controller, settleLimitMs), answered ? settleLimitMs : firstAnswerMs, !answered)
    .catch(() => false)
    .then((settled) => {
      if (!settled) console.error('A job did not come to rest in time; it resumes from its last written step.');
      ending = 'settled';
      app.quit();
    });
}

/** A file that the system opens, now or before the window stands. */
function openNamed(paths: readonly string[]): void {
  if (openFiles) void openFiles(paths).catch(failWith);
  else named = [...named, ...paths];
}

async function lookForUpdates(): Promise<void> {
  if (!app.isPackaged || !hasFeed(process.resourcesPath)) return;
  const { autoUpdater } = await import('electron-updater');
  const text = words.desktop.update;
  watchUpdates(autoUpdater, async (version) => {
    const options = {
      message: text.message(version),
      detail: text.detail,
      buttons: [text.take, text.later],
      cancelId: 1,
    };
    return (await dialog.showMessageBox(options)).response === 0;
  });
}

async function start(): Promise<void> {
  watch = watchSession(crashes());
  if (watch.earlier) tell({ kind: 'notice', level: 'warning', text: words.desktop.crash.before(watch.earlier) });
  const documents = openDocuments(
    tell,
    () => screen?.window ?? null,
    () => void shell.openPath(crashes()),
  );
  denyByDefault(session.defaultSession);
  servePages(session.defaultSession, pages);
  const workspace = process.env.TROUPE_WORKSPACE || join(app.getPath('documents'), 'Troupe');
  await mkdir(workspace, { recursive: true });
  const store = openNodeStore(workspace);
  const keys = openKeys(join(app.getPath('userData'), 'keys.json'), safeStorage, process.env);
  const token = process.env.HF_TOKEN;
  const places = {
    store,
    services: openServices(keys, permissions),
    openDownloads: (onDownload: ControllerEvents['onDownload']) =>
      openNodeDownloads({ store, folder: workspace, onDownload, ...(token ? { token } : {}) }),
  };
  host = await openHostWindow(join(__dirname, 'host-preload.cjs'), places, fail);
  void host.controller.jobs().then(() => (answered = true));
  show();
  openFiles = documents.open;
  openNamed(named);
  await lookForUpdates();
}

if (process.env.TROUPE_PROFILE) app.setPath('userData', process.env.TROUPE_PROFILE);
if (!app.requestSingleInstanceLock()) {
  console.error('Troupe is already open; its window was brought to the front.');
  app.exit(0);
} else {
  // Chromium's own dumps stay here too: there is no address to send them to.
  crashReporter.start({ uploadToServer: false });
  chooseSwitches();
  registerScheme();
  // Chromium cannot sandbox when root runs it; `npm start` then passes --no-sandbox.
  if (!app.commandLine.hasSwitch('no-sandbox')) app.enableSandbox();
  guardEveryPage();
  app.on('second-instance', (_event, argv, folder) => {
    show();
    openNamed(filesNamed(argv, folder));
  });
  app.on('open-file', (event, path) => {
    event.preventDefault();
    openNamed([path]);
  });
  app.on('activate', show);
  app.on('before-quit', settleThenQuit);
  app.on('window-all-closed', () => app.quit());
  app.on('quit', () => watch?.end());
  process.on('uncaughtException', failWith);
  process.on('unhandledRejection', failWith);
  void app.whenReady().then(start).catch(failWith);
}
