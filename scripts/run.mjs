/**
 * Runs one of the project's programs written in TypeScript, after installing what is missing: `node scripts/run.mjs FILE …`.
 * What is said of installing goes to standard error, so that a program's own output stays as it is.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { ensureInstalled, requireNode } from './lib/install.mjs';

requireNode();
try {
  await ensureInstalled(console.error);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
const program = spawn(process.execPath, ['--import', 'tsx', ...process.argv.slice(2)], { stdio: 'inherit' });
// Ctrl+C reaches both of us; the program decides what it means.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => program.kill(signal));
program.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
