/** What a page of the desktop shell cannot do, tried from inside the page. */
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
      const { sandbox, contextIsolation, nodeIntegration, webviewTag, webSecurity } = (
        one.webContents as unknown as { getLastWebPreferences(): Record<string, unknown> }
      ).getLastWebPreferences();
      return { sandbox, contextIsolation, nodeIntegration, webviewTag, webSecurity };
    }),
  );
  expect(preferences).toHaveLength(2);
  for (const one of preferences)
    expect(one).toEqual({
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      webviewTag: false,
      webSecurity: true,
    });
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

test('permissions are denied', async ({ desktop: { window: page } }) => {
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
  expect(outcome.notify).toBe('denied');
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
    await new Promise((next) => setTimeout(next, 100));
    return 'injected' in window;
  });
  expect(ran).toBe(false);
});
