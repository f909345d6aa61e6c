/** The packed measurements run from anywhere with nothing but Node: no module of the project, and none from a registry. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../../engine/device/adapter.ts';
import '../../engine/device/register.node.ts';

const root = path.resolve(import.meta.dirname, '../..');
const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

describe('the packed bench', () => {
  let home: string;
  const run = (...words: string[]) =>
    spawnSync(process.execPath, [path.join(home, 'moved/run.mjs'), ...words], { cwd: home, encoding: 'utf8' });

  beforeAll(() => {
    home = mkdtempSync(path.join(tmpdir(), 'troupe-packed-'));
    const packed = path.join(home, 'packed');
    const { status, stderr } = spawnSync(process.execPath, ['scripts/pack-bench.mjs', packed], { cwd: root, encoding: 'utf8' }); // prettier-ignore
    expect(stderr).toBe('');
    expect(status).toBe(0);
    cpSync(packed, path.join(home, 'moved'), { recursive: true });
    rmSync(packed, { recursive: true });
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  it('has at most 60 MiB, Dawn and no model', () => {
    const files = readdirSync(path.join(home, 'moved'), { recursive: true, encoding: 'utf8' });
    const sizes = files.map((file) => statSync(path.join(home, 'moved', file)));
    const bytes = sizes.reduce((sum, one) => sum + (one.isFile() ? one.size : 0), 0);
    expect(bytes).toBeLessThanOrEqual(60 * 2 ** 20);
    expect(files.some((file) => file.endsWith('.node'))).toBe(true);
    expect(files.filter((file) => /[.](safetensors|gguf)$/.test(file))).toEqual([]);
  });

  it('says what it does, and in a sentence what it does not', () => {
    expect(run('--help').stdout).toContain('rl-step');
    for (const [words, sentence] of [
      [['ui'], 'the packed folder has no screens to measure'],
      [['rl-step', '--queries', 'x'], '--queries x: give whole numbers from 1 on'],
      [['rl-step', '--memory=-1'], '--memory -1: give a number of GiB'],
      [['rl-step', '--memory', '-1'], "Option '--memory' argument is ambiguous. --help lists what there is"],
      [['decode', '--nonsense'], '--help lists what there is'],
    ] as const) {
      const { status, stderr } = run(...words);
      expect(stderr).toContain(sentence);
      expect(stderr).not.toContain('    at ');
      expect(status).toBe(1);
    }
  });

  it.skipIf(absent)(`measures a whole step and keeps its figures ${absent ?? ''}`, () => {
    const small = ['--model', 'nano', '--queries', '1', '--tokens', '4', '--steps', '1'];
    const { status, stdout, stderr } = run('rl-step', ...small, '--json');
    expect(status, stderr).toBe(0);
    const { event, rl_step_seconds: seconds } = JSON.parse(stdout.trim().split('\n').at(-1)!);
    expect(event).toBe('done');
    const [file] = readdirSync(path.join(home, 'moved/results'));
    const kept = JSON.parse(readFileSync(path.join(home, 'moved/results', file), 'utf8'));
    const { parts, transfers, memory, versus } = kept;
    const sum = parts.reduce((all: number, part: { seconds: number }) => all + part.seconds, 0);
    expect(sum).toBeCloseTo(seconds, 2);
    expect(transfers.down).toBeGreaterThan(0);
    expect(memory.peakDeviceBytes).toBeLessThanOrEqual(memory.plannedBytes);
    expect(versus).toBeNull();
    const refused = run('rl-step', ...small, '--memory', '0.01');
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('Out of memory before it begins');
  });
});
