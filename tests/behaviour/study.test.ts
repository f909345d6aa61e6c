/** A study as a person runs it: killed in the middle, gone on with, and its report read. */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, runTerminal } from '../program.ts';

const nano = existsSync(path.join(root, 'models/nano/model.safetensors'));

type Event = Record<string, unknown>;
type Ended = { code: number | null; signal: NodeJS.Signals | null; events: Event[]; err: string };

/** A killed run may have been in the middle of a line. */
async function start(args: readonly string[], onOut?: (text: string, child: ChildProcess) => void): Promise<Ended> {
  const { out, ...ended } = await runTerminal(args, onOut);
  return {
    ...ended,
    events: out.split('\n').flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as Event] : [])),
  };
}

const study = {
  troupe: 'study',
  version: 1,
  name: 'tiny',
  casts: ['shared', 'separate'],
  seeds: [1, 2],
  steps: 2,
  queries: 12,
  evalEvery: 1,
  evalLimit: 8,
  set: { roleGradients: 1 },
};

describe.skipIf(!nano)(
  `a study of the bundled model${nano ? '' : ': skipped, no models/nano; run npm run make-nano'}`,
  () => {
    let folder: string;
    beforeAll(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'troupe-study-'));
      await writeFile(path.join(folder, 'tiny.json'), JSON.stringify(study));
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));
    const args = (workspace: string) => [
      'study',
      path.join(folder, 'tiny.json'),
      '--device',
      'wasm',
      '--json',
      '--workspace',
      path.join(folder, workspace),
    ];
    type Line = { eval?: { f1: number }; policies: object; timing: null };
    const metricsIn = async (workspace: string): Promise<Record<string, Line[]>> => {
      const runs = path.join(folder, workspace, 'runs');
      const read = async (run: string) => {
        const lines = (await readFile(path.join(runs, run, 'metrics.jsonl'), 'utf8')).trim().split('\n');
        return [run, lines.map((line) => ({ ...(JSON.parse(line) as Line), timing: null }))] as const;
      };
      return Object.fromEntries(await Promise.all((await readdir(runs)).map(read)));
    };

    it('ends with the same numbers after a kill and after Ctrl-C as when left alone', async () => {
      const whole = await start(args('whole'));
      expect(whole.err).not.toMatch(/Error/);
      expect(whole.code).toBe(0);
      expect(whole.events.at(-1)).toMatchObject({ event: 'done', cells: 4, failed: 0 });
      const killed = await start(args('killed'), (out, child) => {
        if (out.split('"event":"step"').length > 5) child.kill('SIGKILL'); // in the second run
      });
      expect(killed.signal).toBe('SIGKILL');
      let sent = false;
      const paused = await start(args('killed'), (out, child) => {
        if (sent || !/"state":"begun"[^\n]*\n.*"step":1,/s.test(out)) return;
        sent = true;
        child.kill('SIGINT');
      });
      expect(paused.code).toBe(130);
      expect(paused.events.at(-1)).toMatchObject({ event: 'paused' });
      const resumed = await start(args('killed'));
      expect(resumed.code).toBe(0);
      const states = resumed.events.filter(({ event }) => event === 'cell').map(({ state }) => state);
      expect(states.slice(0, 2)).toEqual(['kept', 'kept']);
      expect(await metricsIn('killed')).toEqual(await metricsIn('whole'));
    }, 600_000);

    it('says what it found', async () => {
      const place = path.join(folder, 'whole', 'studies', 'tiny');
      const report = JSON.parse(await readFile(path.join(place, 'report.json'), 'utf8')) as {
        arms: {
          label: string;
          cells: { id: string; final: number; tokens: number; seconds: number; peakBytes: number }[];
        }[];
        differences: {
          one: string;
          other: string;
          seeds: number;
          questions: number;
          final: { mean: number; low: number; high: number };
        }[];
      };
      const metrics = await metricsIn('whole');
      expect(report.arms.map(({ label }) => label)).toEqual(['shared', 'separate']);
      for (const cell of report.arms.flatMap(({ cells }) => cells)) {
        expect(cell.final).toBe(metrics[cell.id].at(-1)!.eval!.f1);
        for (const cost of [cell.tokens, cell.seconds, cell.peakBytes]) expect(cost).toBeGreaterThan(0);
      }
      const finals = report.arms.map(({ cells }) => (cells[0].final + cells[1].final) / 2);
      expect(report.differences).toHaveLength(1);
      expect(report.differences[0]).toMatchObject({ one: 'shared', other: 'separate', seeds: 2, questions: 8 });
      expect(report.differences[0].final.mean).toBeCloseTo(finals[0] - finals[1], 10);
      const measured = Object.keys(metrics).filter((id) =>
        JSON.stringify(metrics[id]).includes('gradient/cosine/answerer~decomposer'),
      );
      expect(measured).not.toHaveLength(0);
      expect(measured.every((id) => id.includes('--shared--'))).toBe(true);
      const html = await readFile(path.join(place, 'tiny.html'), 'utf8');
      expect(html).toMatch(/^<!doctype html>/);
      expect(html).toContain('<svg ');
      expect(html).not.toContain('<script');
      const markdown = await readFile(path.join(place, 'tiny.md'), 'utf8');
      for (const [, picture] of markdown.matchAll(/!\[.*?\]\((.*?)\)/g))
        expect(await readFile(path.join(place, picture), 'utf8')).toMatch(/^<svg .*<\/svg>\n$/s);
    });

    it('refuses what cannot be run, in one sentence', async () => {
      await writeFile(path.join(folder, 'bad.json'), JSON.stringify({ ...study, casts: ['nope'] }));
      const { code, err } = await start([
        'study',
        path.join(folder, 'bad.json'),
        '--workspace',
        path.join(folder, 'bad'),
      ]);
      expect([code, err]).toEqual([2, expect.stringMatching(/^No such cast: nope; use shared, separate/m)]);
      expect(existsSync(path.join(folder, 'bad', 'runs'))).toBe(false);
    }, 60_000);
  },
);
