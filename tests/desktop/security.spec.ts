/**
 * What a page of the desktop shell cannot do, tried from inside the page. Follows Electron's own checklist; its fuses have a
 * test beside this one. Source: https://www.electronjs.org/docs/latest/tutorial/security
 */
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { words } from '../../renderer/words.ts';
import { root } from '../program.ts';
import { expect, hostOf, test } from './window.ts';

test('the page is isolated, has no Node and no global of the shell', async ({ desktop: { window: page, app } }) => {
  for (const one of [page, await hostOf(app)]) {
    const seen = await one.evaluate(() => ({
      isolated: crossOriginIsolated,
      names: ['require', 'process', 'module', 'Buffer', 'global', 'electron', 'ipcRenderer', 'troupe'].filter(
        (name) => name in window,
      ),
    }));
    expect(seen).toEqual({ isolated: true, names: [] });
  }
  const preferences = await app.evaluate(({ BrowserWindow }) =>
    BrowserWindow.getAllWindows().map((one) => {
      const all = (
        one.webContents as unknown as { getLastWebPreferences(): Record<string, unknown> }
      ).getLastWebPreferences();
      const on = ['sandbox', 'contextIsolation', 'webSecurity'].filter((name) => all[name] === true);
      const never = [
        'nodeIntegration',
        'nodeIntegrationInWorker',
        'nodeIntegrationInSubFrames',
        'webviewTag',
        'allowRunningInsecureContent',
        'experimentalFeatures',
        'enableBlinkFeatures',
        'navigateOnDragDrop',
      ].filter((name) => all[name]);
      return { on, never };
    }),
  );
  expect(preferences).toHaveLength(2);
  for (const one of preferences) expect(one).toEqual({ on: ['sandbox', 'contextIsolation', 'webSecurity'], never: [] });
});

test('the preload script passes on the contract’s messages and nothing else', async ({
  desktop: { window: page, app },
}) => {
  const answers = await page.evaluate(async () => {
    const got: string[] = [];
    window.addEventListener('message', (event) => event.ports.length && got.push(String(event.data?.type)));
    for (const type of [
      'troupe-host-ready',
      'troupe-host-failed',
      'troupe-store',
      'troupe-quit',
      'constructor',
      7,
      null,
    ])
      window.postMessage({ type }, location.origin);
    await new Promise((next) => setTimeout(next, 500));
    const refused = [...got];
    window.postMessage({ type: 'troupe-connect' }, location.origin);
    await new Promise((next) => setTimeout(next, 500));
    return { refused, after: got };
  });
  expect(answers).toEqual({ refused: [], after: ['troupe-port'] });
  const channels = await app.evaluate(({ ipcMain }) =>
    ipcMain
      .eventNames()
      .map(String)
      .filter((name) => !name.startsWith('-') && name !== 'error')
      .sort(),
  );
  expect(channels).toEqual(['troupe-connect', 'troupe-host-failed', 'troupe-host-ready']);
});

test('a message counts only from the main frame of the window it belongs to', async ({
  desktop: { window: page, app },
}) => {
  // The page's own connection is made first, so that it is not counted.
  await expect(page.getByRole('contentinfo')).not.toContainText(words.status.noDevice, { timeout: 60_000 });
  const forged = await app.evaluate(async ({ ipcMain, BrowserWindow }) => {
    const windows = BrowserWindow.getAllWindows();
    const host = windows.find((one) => one.webContents.getURL().includes('host.html'))!.webContents;
    const screen = windows.find((one) => one.webContents.getURL().includes('index.html'))!.webContents;
    let ports = 0;
    const post = screen.postMessage.bind(screen);
    screen.postMessage = (channel: string, message: unknown, transfer?: Electron.MessagePortMain[]) => {
      ports += 1;
      post(channel, message, transfer);
    };
    const frame = { url: 'app://troupe/index.html' };
    for (const event of [
      { sender: host, senderFrame: host.mainFrame },
      { sender: screen, senderFrame: null },
      { sender: screen, senderFrame: frame },
      { sender: screen, senderFrame: host.mainFrame },
      { sender: {}, senderFrame: screen.mainFrame },
    ])
      ipcMain.emit('troupe-connect', event);
    await new Promise((next) => setTimeout(next, 300));
    const refused = ports;
    ipcMain.emit('troupe-connect', { sender: screen, senderFrame: screen.mainFrame });
    return { refused, after: ports };
  });
  expect(forged).toEqual({ refused: 0, after: 1 });
  // A page cannot reach the shell's failure dialog in the host's name either.
  await page.evaluate(() => window.postMessage({ type: 'troupe-host-failed', reason: 'forged' }, location.origin));
  await page.waitForTimeout(300);
  expect(app.windows()).toHaveLength(2);
});

test('a page of another origin gets no port, even inside our window', async ({ desktop: { window: page, app } }) => {
  const outcome = await page.evaluate(async () => {
    const frame = document.createElement('iframe');
    frame.srcdoc = '<script>parent.postMessage({ type: "troupe-connect" }, "*")</script>';
    document.body.append(frame);
    const data = document.createElement('iframe');
    data.src = 'data:text/html,<script>parent.postMessage({type:"troupe-connect"},"*")</script>';
    document.body.append(data);
    let ports = 0;
    window.addEventListener('message', (event) => (ports += event.ports.length));
    await new Promise((next) => setTimeout(next, 500));
    return ports;
  });
  expect(outcome).toBe(0);
  expect(app.windows()).toHaveLength(2);
});

test('no embedded page view, and none with a preload script of its own', async ({ desktop: { window: page, app } }) => {
  const attached = await page.evaluate(async () => {
    const view = document.createElement('webview');
    view.setAttribute('src', 'app://troupe/index.html');
    view.setAttribute('preload', 'file:///etc/passwd');
    view.setAttribute('nodeintegration', '');
    view.setAttribute('allowpopups', '');
    document.body.append(view);
    await new Promise((next) => setTimeout(next, 500));
    return { methods: 'getWebContentsId' in view, children: view.shadowRoot?.childElementCount ?? 0 };
  });
  expect(attached).toEqual({ methods: false, children: 0 });
  const contents = await app.evaluate(({ webContents }) => webContents.getAllWebContents().map((one) => one.getType()));
  expect(contents).toEqual(['window', 'window']);
});

test('remote scripts, styles, pictures, fonts, workers, sockets and forms are refused', async ({
  desktop: { window: page, app },
}) => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(request.url ?? '');
    response.end('window.injected = true');
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  const violated = await page.evaluate(async (base) => {
    const directives = new Set<string>();
    document.addEventListener('securitypolicyviolation', (event) => directives.add(event.effectiveDirective));
    const add = (tag: string, name: string, kind: string, more: Record<string, string> = {}): void => {
      const element = document.createElement(tag);
      for (const [key, value] of Object.entries(more)) element.setAttribute(key, value);
      element.setAttribute(name, `${base}/${kind}`);
      document.body.append(element);
    };
    add('script', 'src', 'script');
    add('link', 'href', 'style', { rel: 'stylesheet' });
    add('img', 'src', 'picture');
    add('object', 'data', 'object');
    add('iframe', 'src', 'frame');
    add('video', 'src', 'media');
    add('base', 'href', 'base');
    const form = document.createElement('form');
    form.action = `${base}/form`;
    document.body.append(form);
    form.submit();
    new FontFace('x', `url(${base}/font)`).load().catch(() => {});
    for (const work of [
      () => new Worker(`${base}/worker`),
      () => new WebSocket(base.replace('http', 'ws')),
      () => new EventSource(`${base}/events`),
      () => void navigator.sendBeacon(`${base}/beacon`, 'x'),
      () => void fetch(`${base}/fetch`).catch(() => {}),
      () => void import(/* @vite-ignore */ `${base}/module`).catch(() => {}),
    ])
      try {
        work();
      } catch {
        // Refused at once: as it should be.
      }
    await new Promise((next) => setTimeout(next, 1_000));
    return [...directives].sort();
  }, `http://127.0.0.1:${port}`);
  server.close();
  expect(seen).toEqual([]);
  expect(violated).toEqual(
    expect.arrayContaining(['script-src-elem', 'style-src-elem', 'img-src', 'connect-src', 'base-uri', 'form-action']),
  );
  expect(await page.evaluate(() => 'injected' in window)).toBe(false);
  expect(app.windows()).toHaveLength(2);
});

test('navigation, new windows and embedded pages are refused', async ({ desktop: { window: page, app } }) => {
  const address = page.url();
  await page.evaluate(() => {
    location.href = 'https://example.org/';
  });
  await page.evaluate(() => {
    const link = document.createElement('a');
    link.href = 'file:///etc/passwd';
    document.body.append(link);
    link.click();
  });
  expect(await page.evaluate(() => window.open('https://example.org/'))).toBeNull();
  expect(await page.evaluate(() => window.open('app://troupe/index.html'))).toBeNull();
  await page.waitForTimeout(500);
  expect(page.url()).toBe(address);
  expect(app.windows()).toHaveLength(2);
  const framed = await page.evaluate(async () => {
    const frame = document.createElement('iframe');
    frame.src = 'app://troupe/host.html';
    document.body.append(frame);
    await new Promise((next) => setTimeout(next, 500));
    return frame.contentDocument?.body?.children.length ?? 0;
  });
  expect(framed).toBe(0);
});

test('permissions are denied, but for notices that a run ended', async ({ desktop: { window: page } }) => {
  const outcome = await page.evaluate(async () => {
    const tried = async (work: () => Promise<unknown>): Promise<string> =>
      work().then(
        () => 'granted',
        (error: Error) => error.name,
      );
    return {
      camera: await tried(() => navigator.mediaDevices.getUserMedia({ video: true })),
      place: await tried(
        () =>
          new Promise((yes, no) =>
            navigator.geolocation.getCurrentPosition(yes, (error) =>
              no(Object.assign(new Error(), { name: `code ${error.code}` })),
            ),
          ),
      ),
      notify: await Notification.requestPermission(),
      read: await tried(() => navigator.clipboard.readText()),
    };
  });
  expect(outcome.camera).not.toBe('granted');
  expect(outcome.place).toBe('code 1');
  expect(outcome.notify).toBe('granted');
  expect(outcome.read).toBe('NotAllowedError');
});

test('the scheme serves the pages’ folder alone', async ({ desktop: { window: page } }) => {
  const statuses = await page.evaluate(async () => {
    const paths = [
      '/index.html',
      '/..%2f..%2fpackage.json',
      '/%2e%2e%2f%2e%2e%2fpackage.json',
      '/assets/..%5c..%5cpackage.json',
      '/.stamp',
      '/nothing.js',
    ];
    return Promise.all(paths.map(async (path) => (await fetch(`app://troupe${path}`)).status));
  });
  expect(statuses).toEqual([200, 404, 404, 404, 404, 404]);
  const others = await page.evaluate(async () => {
    const tried = (address: string, options?: RequestInit): Promise<string> =>
      fetch(address, options).then(
        (answer) => String(answer.status),
        () => 'refused',
      );
    return [
      await tried('file:///etc/passwd'),
      await tried('https://example.org/'),
      await tried('app://other/index.html'),
      await tried('app://troupe/index.html', { method: 'POST' }),
    ];
  });
  expect(others).toEqual(['refused', 'refused', 'refused', '405']);
});

test('inline scripts and eval are refused by the content-security policy', async ({ desktop: { window: page } }) => {
  const ran = await page.evaluate(async () => {
    const script = document.createElement('script');
    script.textContent = 'window.injected = true';
    document.body.append(script);
    const button = document.createElement('button');
    button.setAttribute('onclick', 'window.injected = true');
    document.body.append(button);
    button.click();
    const link = document.createElement('a');
    link.href = 'javascript:window.injected=true';
    document.body.append(link);
    link.click();
    const refused: string[] = [];
    // The debugger lifts the ban on eval while its own evaluation runs; the page is on its own a moment later.
    await new Promise((next) => setTimeout(next, 100));
    const page = window as unknown as { eval(text: string): unknown; Function: new (text: string) => () => unknown };
    for (const [name, work] of [
      ['eval', () => page.eval('window.injected = true')],
      ['Function', () => new page.Function('window.injected = true')()],
      ['timeout', () => setTimeout('window.injected = true', 0)],
    ] as const)
      try {
        work();
      } catch {
        refused.push(name);
      }
    await new Promise((next) => setTimeout(next, 200));
    return { injected: 'injected' in window, refused: refused.slice(0, 2) };
  });
  expect(ran).toEqual({ injected: false, refused: ['eval', 'Function'] });
});

test('the shell opens no address in another program, and Electron is pinned to one version', async () => {
  const sources = (await readdir(join(root, 'electron'))).filter((name) => name.endsWith('.ts'));
  for (const name of sources) {
    const text = await readFile(join(root, 'electron', name), 'utf8');
    expect(text, name).not.toMatch(/openExternal|executeJavaScript|insertCSS|loadFile\(|enableRemoteModule/);
  }
  const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  expect(devDependencies.electron).toMatch(/^\d+\.\d+\.\d+$/);
});
