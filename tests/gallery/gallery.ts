/**
 * `npm run gallery`: pictures of every place and its main states, light and dark, into docs/gallery, with a page that shows
 * them. What is seen is the real workbench: it trains the first team until there is something to see.
 */
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Page } from '@playwright/test';
import { root, startProgram } from '../program.ts';
import { shotsAfter } from './shots.ts';

const folder = join(root, 'docs/gallery');
const themes = ['light', 'dark'] as const;
const size = { width: 1280, height: 800 };
const mostBytes = 6_000_000;

const shots = shotsAfter(14);

async function take(page: Page, name: string): Promise<void> {
  await page.mouse.move(420, 790);
  for (const theme of themes) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    await page.waitForTimeout(500);
    await page.screenshot({ path: join(folder, `${name}-${theme}.png`) });
  }
}

function indexPage(): string {
  const rows = shots.map(
    ({ name, about }) =>
      `## ${about}\n\n![${about}, light](${name}-light.png)\n\n![${about}, dark](${name}-dark.png)\n`,
  );
  return `# What it looks like\n\nPictures of the real workbench after a short training of the first team on this project's test machine; made anew by\n\`npm run gallery\`.\n\n${rows.join('\n')}`;
}

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
const program = startProgram(['scripts/start.mjs', '--browser', '--port', '0']);
const asRoot = process.platform === 'linux' && process.getuid?.() === 0 ? ['--no-sandbox'] : [];
const browser = await chromium.launch({
  ...(process.env.CHROMIUM_PATH
    ? { executablePath: process.env.CHROMIUM_PATH }
    : { executablePath: '/usr/bin/chromium' }),
  args: ['--headless=new', ...asRoot],
});
try {
  const [, address] = await program.printed(/Open (http:\/\/127\.0\.0\.1:\d+\/)/);
  const page = await browser.newPage({ viewport: size });
  await page.goto(address);
  for (const { name, set } of shots) {
    await set(page);
    await take(page, name);
    console.log(`docs/gallery/${name}`);
  }
  await writeFile(join(folder, 'README.md'), indexPage());
  const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size));
  const bytes = sizes.reduce((sum, one) => sum + one, 0);
  console.log(`${sizes.length} files, ${(bytes / 1e6).toFixed(1)} MB`);
  if (bytes > mostBytes)
    throw new Error(`The gallery has ${bytes} bytes; at most ${mostBytes} are kept: make it smaller`);
} finally {
  await browser.close();
  await program.stop();
}
