/**
 * Serves the built pages: `node scripts/serve.mjs [--port N]`. Prints the address and runs until it is ended.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { rendererOut } from './lib/paths.mjs';
import { serveFolder } from './lib/static-server.mjs';

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error(`The port must be a whole number from 0 to 65535: ${values.port}`);
  process.exit(2);
}
if (!existsSync(join(rendererOut, 'index.html'))) {
  console.error('The pages are not built yet; run: npm run build');
  process.exit(1);
}
const { url } = await serveFolder(rendererOut, { port });
console.log(url);
