/** A service on this machine plays a role in the window: allowed once, with a key that the window never sees. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { words } from '../../renderer/words.ts';
import { expect, test } from './window.ts';

const { team, cast } = words;

test('a service answers for a role once the person allows it, and a key is not kept where nothing keeps it safe', async ({
  desktop: { app, window: page },
}) => {
  const heard: { key: string | undefined; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      heard.push({ key: request.headers.authorization, body });
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ choices: [{ message: { content: '<q>Mira friend</q>' }, finish_reason: 'stop' }] }),
      );
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const allow = (response: number) =>
    app.evaluate(({ dialog }, answer) => {
      dialog.showMessageBox = (async () => ({ response: answer, checkboxChecked: false })) as never;
    }, response);
  try {
    await allow(1);
    await app.evaluate(() => (process.env.TROUPE_TEST_KEY = 's3cret'));
    await page.getByRole('navigation', { name: words.nav.label }).getByRole('link', { name: words.nav.team }).click();
    await page.getByRole('button', { name: cast.separate }).click();
    await page.getByRole('combobox', { name: `${cast.method}, decomposer` }).selectOption(cast.service);
    const fill = async (label: string, value: string): Promise<void> => {
      const field = page.getByRole('textbox', { name: `${label}, decomposer` });
      await field.fill(value);
      await field.blur();
    };
    await fill(cast.endpoint.url, url);
    await fill(cast.endpoint.key, 'NOBODY_SET_THIS');
    await expect(page.getByText(cast.endpoint.places.missing)).toBeVisible();
    if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/service.png` });
    await page
      .getByRole('textbox', { name: `${cast.endpoint.newKey}, decomposer`, exact: true })
      .fill('sk-never-written');
    await page.getByRole('button', { name: cast.endpoint.keep, exact: true }).click();
    await expect(
      page
        .getByText(/has no key store that Troupe could use/)
        .or(page.getByText(cast.endpoint.places.kept))
        .first(),
    ).toBeVisible();
    await fill(cast.endpoint.key, 'TROUPE_TEST_KEY');
    await expect(page.getByText(cast.endpoint.places.environment)).toBeVisible();

    const ask = async (): Promise<void> => {
      await page.getByRole('button', { name: team.runOne }).click();
      await page.getByRole('dialog').getByLabel(team.question).fill('Where does the friend of Mira live?');
      await page.getByRole('dialog').getByRole('button', { name: team.run, exact: true }).click();
    };
    await ask();
    await expect(page.getByText(/Nothing was sent to http:/).first()).toBeVisible({ timeout: 60_000 });
    expect(heard).toEqual([]);
    await allow(0);
    await ask();
    await expect(page.getByText(/^Answer: /)).toBeVisible({ timeout: 60_000 });
    await expect(page.locator('.said').filter({ hasText: '<q>Mira friend</q>' })).toBeVisible();
    expect(heard.map(({ key }) => key)).toEqual(['Bearer s3cret']);
    expect(heard[0].body).toContain('Where does the friend of Mira live?');
  } finally {
    server.close();
  }
});
