/** Starts a program of the repository for a test and reads what it prints; it and all its children end with the test. */
import { spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '..');

export type Program = {
  readonly child: ChildProcess;
  /** First match in what was printed so far or will be; rejects when the program ends or `limitMs` passes without one. */
  printed(pattern: RegExp, limitMs?: number): Promise<RegExpExecArray>;
  output(): string;
  stop(): Promise<void>;
};

export function startProgram(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
  program = process.execPath,
): Program {
  const child = spawn(program, [...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let text = '';
  const watchers = new Set<() => void>();
  const take = (chunk: Buffer): void => {
    text += chunk.toString('utf8');
    for (const watcher of watchers) watcher();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const ended = new Promise<void>((settle) => child.on('close', () => settle()));
  return {
    child,
    output: () => text,
    printed: (pattern, limitMs = 120_000) =>
      new Promise((settle, fail) => {
        const finish = (found: RegExpExecArray | null, why: string): void => {
          clearTimeout(timer);
          watchers.delete(look);
          if (found) settle(found);
          else fail(new Error(`${why} before printing ${pattern}:\n${text.slice(-2_000)}`));
        };
        const look = (): void => {
          const found = pattern.exec(text);
          if (found) finish(found, '');
        };
        const timer = setTimeout(() => finish(null, `waited ${limitMs} ms`), limitMs);
        watchers.add(look);
        void ended.then(() => finish(pattern.exec(text), 'the program ended'));
        look();
      }),
    stop: async () => {
      try {
        process.kill(-child.pid!, 'SIGTERM');
      } catch {
        return;
      }
      const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), 15_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

type Ended = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
};

/** Runs a command of the terminal to its end, its two streams apart; `onOut` sees all that was printed so far. */
export function runTerminal(
  args: readonly string[],
  onOut: (text: string, child: ChildProcess) => void = () => {},
): Promise<Ended> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'cli/main.ts', ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString();
    onOut(out, child);
  });
  child.stderr.on('data', (data: Buffer) => (err += data.toString()));
  return new Promise((settle) => child.on('close', (code, signal) => settle({ code, signal, out, err })));
}
