/**
 * Crash reports, kept on this machine and sent nowhere: one small JSON file each, the newest twenty. A mark says that the
 * program runs; one that is still there at the next start means that it did not end by itself. Written synchronously, since
 * the process may have no later.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const most = 20;
const longest = 20_000;

export type Crash = { readonly what: string; readonly details?: string };

/** Writes a report; returns its path. */
export function keepReport(folder: string, crash: Crash, now = new Date()): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${now.toISOString().replaceAll(':', '-')}.json`);
  const { electron, chrome, node } = process.versions;
  const report = {
    at: now.toISOString(),
    what: crash.what.slice(0, longest),
    ...(crash.details === undefined ? {} : { details: crash.details.slice(0, longest) }),
    system: `${process.platform} ${process.arch}`,
    versions: { electron, chrome, node },
  };
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  const kept = readdirSync(folder).filter((name) => name.endsWith('.json'));
  for (const old of kept.sort().slice(0, -most)) rmSync(join(folder, old), { force: true });
  return file;
}

export type Watch = {
  /** The report of an earlier session that did not end by itself, or null. */
  readonly earlier: string | null;
  /** Ends the session in order. */
  end(): void;
};

/** Marks the session as running. */
export function watchSession(folder: string, now = new Date()): Watch {
  mkdirSync(folder, { recursive: true });
  const mark = join(folder, 'running');
  let earlier: string | null = null;
  try {
    const since = readFileSync(mark, 'utf8').slice(0, 40).trim();
    earlier = keepReport(folder, { what: `the session that began at ${since} was ended from outside` }, now);
  } catch {
    // No mark: the last session ended in order, or there was none.
  }
  writeFileSync(mark, `${now.toISOString()}\n`);
  return { earlier, end: () => rmSync(mark, { force: true }) };
}
