import { EventEmitter } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../engine/errors.ts';
import { keepReport, watchSession } from './crash-report.ts';
import { filesNamed, readTeamFile, teamFileMaxBytes } from './open-files.ts';
import { parseRecent, readRecent, withRecent, writeRecent } from './recent.ts';
import { hasFeed, watchUpdates } from './updates.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'troupe-shell-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('files that the system opens', () => {
  it('are those among the arguments that end in .json', () => {
    const argv = ['/opt/troupe', '--no-sandbox', '--flag=/x.json', 'mine.troupe.json', '/abs/Other.JSON', 'notes.txt'];
    expect(filesNamed(argv, '/home/me')).toEqual(['/home/me/mine.troupe.json', '/abs/Other.JSON']);
    expect(filesNamed(['/opt/troupe.json'], '/')).toEqual([]);
  });
  it('are read, or refused in a sentence', async () => {
    writeFileSync(join(folder, 'a.troupe.json'), '{"a":1}');
    writeFileSync(join(folder, 'big.json'), Buffer.alloc(teamFileMaxBytes + 1));
    expect(await readTeamFile(join(folder, 'a.troupe.json'))).toEqual({ name: 'a.troupe.json', text: '{"a":1}' });
    for (const [name, why] of [
      ['none.json', /No such file/],
      ['big.json', /too large/],
      ['.', /Not a file/],
    ] as const) {
      const refused = readTeamFile(join(folder, name));
      await expect(refused).rejects.toBeInstanceOf(UserError);
      await expect(refused).rejects.toThrow(why);
    }
  });
});

describe('recent files', () => {
  it('are ten, newest first, each once', async () => {
    let recent: string[] = [];
    for (let i = 0; i < 12; i++) recent = withRecent(recent, `/f${i}`);
    recent = withRecent(recent, '/f5');
    expect(recent).toHaveLength(10);
    expect(recent.slice(0, 2)).toEqual(['/f5', '/f11']);
    await writeRecent(join(folder, 'deep/recent.json'), recent);
    expect(readRecent(join(folder, 'deep/recent.json'))).toEqual(recent);
  });
  it.each(['', '{', '7', '{"a":1}', '[1,null]', `["${'x'.repeat(5_000)}"]`])('read as none when damaged: %s', (text) =>
    expect(parseRecent(text)).toEqual([]),
  );
});

describe('crash reports', () => {
  it('are the newest twenty, and say what happened', () => {
    for (let i = 0; i < 23; i++) keepReport(folder, { what: `it ${i}` }, new Date(1_700_000_000_000 + i * 1_000));
    const names = readdirSync(folder).sort();
    expect(names).toHaveLength(20);
    expect(JSON.parse(readFileSync(join(folder, names[19]), 'utf8'))).toMatchObject({ what: 'it 22' });
  });
  it('are made for a session that did not end by itself, and for no other', () => {
    const first = watchSession(folder);
    expect(first.earlier).toBeNull();
    const second = watchSession(folder, new Date(1_800_000_000_000));
    expect(readFileSync(second.earlier!, 'utf8')).toContain('was ended from outside');
    second.end();
    expect(watchSession(folder).earlier).toBeNull();
  });
});

describe('updates', () => {
  class FakeUpdater extends EventEmitter {
    autoDownload = true;
    autoInstallOnAppQuit = false;
    logger: unknown = console;
    checks = 0;
    downloads = 0;
    checkForUpdates = async (): Promise<void> => {
      this.checks += 1;
      throw new Error('the feed cannot be reached');
    };
    downloadUpdate = async (): Promise<void> => void (this.downloads += 1);
  }

  it('are looked for only where a feed was built in', () => {
    expect(hasFeed(folder)).toBe(false);
    writeFileSync(join(folder, 'app-update.yml'), 'provider: generic\n');
    expect(hasFeed(folder)).toBe(true);
  });
  it('are downloaded when wanted, once asked, and installed at quitting', async () => {
    const updater = new FakeUpdater();
    const asked: string[] = [];
    const stop = watchUpdates(updater, async (version) => asked.push(version) === 1);
    expect(updater).toMatchObject({ autoDownload: false, autoInstallOnAppQuit: true, checks: 1 });
    updater.emit('error', new Error('no network'));
    for (const version of ['2.0.0', '2.0.0', '3.0.0']) updater.emit('update-available', { version });
    await new Promise((next) => setImmediate(next));
    stop();
    expect(asked).toEqual(['2.0.0', '3.0.0']);
    expect(updater.downloads).toBe(1);
  });
});
