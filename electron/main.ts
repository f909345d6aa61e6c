/**
 * The desktop shell: one instance, one visible window, one hidden window that does the work. It serves the pages and the
 * workspace folder, refuses everything else, and does not end before a running job has written itself down.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { app, dialog, safeStorage, session, type BrowserWindow } from 'electron';
import { openNodeStore } from '../workflows/workspace/store.node.ts';
import { openHostWindow, type HostWindow } from './host-window.ts';
import { openKeys } from './keys.ts';
import { setMenu } from './menu.ts';
import { registerScheme, servePages } from './protocol.ts';
import { denyByDefault, guardEveryPage } from './security.ts';
import { openServices } from './services.ts';
import { movingJobs, settleJobs, within } from './settle.ts';
import { openWindow } from './window.ts';

const settleLimitMs = 120_000;
/** A controller that has never answered is still opening its device, and nothing can run yet. */
const firstAnswerMs = 1_000;
const pages = join(__dirname, '../renderer');

let host: HostWindow | null = null;
let window: BrowserWindow | null = null;
let answered = false;
let ending: 'no' | 'settling' | 'settled' = 'no';

function chooseSwitches(): void {
  if (process.platform !== 'linux') return;
  // On Linux Chromium offers WebGPU only when asked, and then through Vulkan.
  app.commandLine.appendSwitch('enable-unsafe-webgpu');
  if (!app.commandLine.hasSwitch('enable-features')) app.commandLine.appendSwitch('enable-features', 'Vulkan');
}

function fail(reason: string): void {
  if (ending !== 'no') return;
  console.error(reason);
  if (!process.env.CI)
    dialog.showErrorBox(
      'Troupe cannot go on',
      `${reason}. What was trained is kept up to its last step; start Troupe again to resume.`,
    );
  ending = 'settled';
  app.exit(1);
}

/** Closing the window while something trains asks first. */
async function mayClose(target: BrowserWindow): Promise<boolean> {
  const jobs = host
    ? await within(movingJobs(host.controller), answered ? 10_000 : firstAnswerMs, []).catch(() => [])
    : [];
  if (!jobs.length) return true;
  const { response } = await dialog.showMessageBox(target, {
    type: 'question',
    message: `Training runs: ${jobs.map((job) => `${job.title}, step ${job.step} of ${job.steps}`).join('; ')}`,
    detail: 'It can be paused and resumed later from this very step.',
    buttons: ['Pause and quit', 'Keep training'],
    defaultId: 0,
    cancelId: 1,
  });
  return response === 0;
}

/** A team's file may come from anyone, so the person says where its words may go, and with which key. */
async function mayAsk(origin: string, keyFrom: string | undefined): Promise<boolean> {
  const { response } = await dialog.showMessageBox({
    type: 'question',
    message: `A role of this team is played by ${origin}. Send it what the role is asked?`,
    detail: keyFrom === undefined ? 'It is sent no key.' : `It is sent the key ${keyFrom}.`,
    buttons: ['Send until Troupe ends', 'Do not send'],
    defaultId: 1,
    cancelId: 1,
  });
  return response === 0;
}

function show(): void {
  if (window && !window.isDestroyed()) {
    if (window.isMinimized()) window.restore();
    window.focus();
    return;
  }
  if (!host) return;
  window = openWindow(join(__dirname, 'preload.cjs'), join(app.getPath('userData'), 'window.json'), host.addClient);
  const shown = window;
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
  window?.setTitle('Troupe: saving …');
  void within(settleJobs(host.controller, settleLimitMs), answered ? settleLimitMs : firstAnswerMs, !answered)
    .catch(() => false)
    .then((settled) => {
      if (!settled) console.error('A job did not come to rest in time; it resumes from its last written step.');
      ending = 'settled';
      app.quit();
    });
}

async function start(): Promise<void> {
  setMenu();
  denyByDefault(session.defaultSession);
  servePages(session.defaultSession, pages);
  const workspace = process.env.TROUPE_WORKSPACE || join(app.getPath('documents'), 'Troupe');
  await mkdir(workspace, { recursive: true });
  const keys = openKeys(join(app.getPath('userData'), 'keys.json'), safeStorage, process.env);
  const places = { store: openNodeStore(workspace), services: openServices(keys, mayAsk) };
  host = await openHostWindow(join(__dirname, 'host-preload.cjs'), places, fail);
  void host.controller.jobs().then(() => (answered = true));
  show();
}

if (process.env.TROUPE_PROFILE) app.setPath('userData', process.env.TROUPE_PROFILE);
if (!app.requestSingleInstanceLock()) {
  console.error('Troupe is already open; its window was brought to the front.');
  app.exit(0);
} else {
  chooseSwitches();
  registerScheme();
  // Chromium cannot sandbox when root runs it; `npm start` then passes --no-sandbox.
  if (!app.commandLine.hasSwitch('no-sandbox')) app.enableSandbox();
  guardEveryPage();
  app.on('second-instance', show);
  app.on('activate', show);
  app.on('before-quit', settleThenQuit);
  app.on('window-all-closed', () => app.quit());
  void app
    .whenReady()
    .then(start)
    .catch((failure: unknown) => fail(failure instanceof Error ? failure.message : String(failure)));
}
