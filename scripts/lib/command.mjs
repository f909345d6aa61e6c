/**
 * Runs other programs for the scripts of this folder. Plain Node, so that it works before anything is installed.
 * `npm` is found as the running npm itself where there is one, so that the person's own npm and its settings are used.
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The command that runs npm: [program, ...first arguments]. */
export function npmCommand() {
  const running = process.env.npm_execpath;
  if (running && /npm-cli\.js$/.test(running)) return [process.execPath, running];
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm'];
}

/** True on Windows for the .cmd files that only a shell starts. */
function needsShell(program) {
  return process.platform === 'win32' && program.endsWith('.cmd');
}

/**
 * Runs a program to its end. Resolves to {code, output}; with `show` the output goes to the terminal as it comes.
 * `onLine` sees every line. A program still running after `timeoutMs`, or silent for `silenceMs`, is ended.
 */
export function run(program, args, { cwd, env, show = false, onLine, timeoutMs, silenceMs, group = false } = {}) {
  return new Promise((settle) => {
    const child = spawn(program, args, {
      cwd,
      env: env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: needsShell(program),
      detached: group,
    });
    let output = '';
    let rest = '';
    let ended = null;
    const end = (reason) => {
      ended = reason;
      killTree(child, group);
    };
    const deadline = timeoutMs ? setTimeout(() => end('timeout'), timeoutMs) : null;
    let quiet = silenceMs ? setTimeout(() => end('silence'), silenceMs) : null;
    const take = (chunk) => {
      if (quiet) {
        clearTimeout(quiet);
        quiet = setTimeout(() => end('silence'), silenceMs);
      }
      const text = chunk.toString('utf8');
      output += text;
      if (show) process.stdout.write(text);
      if (!onLine) return;
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const finish = (code) => {
      clearTimeout(deadline);
      clearTimeout(quiet);
      if (onLine && rest) onLine(rest);
      settle({ code, output, ended });
    };
    child.on('error', (failure) => {
      output += String(failure.message);
      finish(127);
    });
    child.on('close', (code, signal) => finish(code ?? (signal ? 128 : 1)));
  });
}

/** Ends a child, and with `group` everything it started. */
export function killTree(child, group) {
  try {
    if (group && process.platform !== 'win32') process.kill(-child.pid, 'SIGKILL');
    else child.kill('SIGKILL');
  } catch {
    // Already gone.
  }
}

/** Path of a program on PATH, or null. */
export function which(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}

/** Trimmed output of a short command, or null when it fails. */
export function ask(program, args, options = {}) {
  const result = spawnSync(program, args, { encoding: 'utf8', timeout: 20_000, ...options });
  return result.status === 0 ? result.stdout.trim() : null;
}
