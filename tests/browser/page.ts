/** A test whose page is what `npm start -- --browser` serves, once for all tests of a worker. */
import { test as base } from '@playwright/test';
import { startProgram } from '../program.ts';

export const test = base.extend<object, { address: string }>({
  address: [
    async ({}, use) => {
      const program = startProgram(['scripts/start.mjs', '--browser', '--port', '0'], {
        DISPLAY: undefined,
        WAYLAND_DISPLAY: undefined,
      });
      const [, address] = await program.printed(/Open (http:\/\/127\.0\.0\.1:\d+\/)/);
      await use(address);
      await program.stop();
    },
    { scope: 'worker', timeout: 240_000 },
  ],
});

export { expect } from '@playwright/test';
