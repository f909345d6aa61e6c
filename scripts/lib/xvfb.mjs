/** A virtual display for the time of one stage. The server picks a free number itself and writes it to a pipe. */
import { spawn } from 'node:child_process';

const startLimitMs = 15_000;

/** {display, close}; rejects when the server does not come up. */
export function openDisplay(program = 'Xvfb') {
  return new Promise((settle, fail) => {
    const child = spawn(program, ['-displayfd', '3', '-screen', '0', '1600x1000x24', '-nolisten', 'tcp'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    const timer = setTimeout(() => fail(new Error('Xvfb gave no display number in time')), startLimitMs);
    child.on('error', fail);
    child.on('exit', (code) => fail(new Error(`Xvfb ended with ${code}`)));
    let text = '';
    child.stdio[3].on('data', (chunk) => {
      text += chunk;
      if (!text.includes('\n')) return;
      clearTimeout(timer);
      settle({ display: `:${text.trim()}`, close: () => child.kill() });
    });
  });
}
