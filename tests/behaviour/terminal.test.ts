/** The terminal as a person or a script meets it: its own process, its exit codes, what a kill leaves behind. */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, runTerminal } from '../program.ts';

const nano = existsSync(path.join(root, 'models/nano/model.safetensors'));

const events = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the terminal', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-terminal-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('says what each command takes', async () => {
    for (const args of [
      [],
      ['train'],
      ['run'],
      ['eval'],
      ['study'],
      ['sft'],
      ['traces'],
      ['models'],
      ['models', 'export'],
      ['devices'],
    ]) {
      const { code, out } = await runTerminal([...args, '--help']);
      expect(code).toBe(0);
      expect(out).toContain(`Usage: troupe ${args.join(' ')}`.trimEnd());
    }
  }, 60_000);

  it.each([
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['train', '--steps', 'many'], /use a whole number/],
    [['train', 'nope'], /No such workflow: nope; there are qd-answer/],
    [['train', '--task', 'nope'], /no task of this name: nope; use village-qa/],
    [['train', '--cast', 'nope.json'], /No such file: nope.json/],
    [['train', '--device', 'abacus'], /No such device: abacus; use auto/],
    [['train', '--method', 'full', '--rank', '4'], /--rank and --alpha are of LoRA/],
    [['train', '--learn', 'zen'], /No such way to learn: zen; use ppo or sft/],
    [['train', '--resume', 'nope'], /No such run: nope/],
    [['traces', '../../etc'], /Not the folder of a run: \.\.\/\.\.\/etc/],
    [['traces', '..'], /leaves the workspace|No such run: \.\./],
    [['eval', '--model', 'nope', '--device', 'cpu'], /No such model: nope; there are nano/],
  ])(
    'refuses %j with one sentence and code 2',
    async (args, sentence) => {
      const { code, out, err } = await runTerminal([...args, '--workspace', folder]);
      expect(code).toBe(2);
      expect(out).toBe('');
      expect(err).toMatch(sentence);
      expect(err).not.toMatch(/^\s+at /m);
    },
    30_000,
  );

  describe.skipIf(!nano)(
    `with the bundled model${nano ? '' : ': skipped, no models/nano; run npm run make-nano'}`,
    () => {
      const args = [
        'train',
        'qd-answer',
        '--task',
        'village-qa',
        '--model',
        'nano',
        '--device',
        'wasm',
        '--json',
        '--seed',
        '3',
        '--steps',
        '5',
        '--queries',
        '6',
        '--eval-every',
        '2',
        '--eval-limit',
        '6',
        '--checkpoint-every',
        '2',
      ];
      const metricsIn = async (workspace: string) => {
        const [run] = await readdir(path.join(workspace, 'runs'));
        const text = await readFile(path.join(workspace, 'runs', run, 'metrics.jsonl'), 'utf8');
        return {
          run: path.join(workspace, 'runs', run),
          lines: text
            .trimEnd()
            .split('\n')
            .map((line) => ({ ...(JSON.parse(line) as object), timing: null })),
        };
      };

      it('ends a run with one line that says it all, and the same numbers after a kill', async () => {
        const whole = path.join(folder, 'whole');
        const undisturbed = await runTerminal([...args, '--workspace', whole]);
        expect(undisturbed.err + undisturbed.out).not.toMatch(/"event":"error"/);
        expect(undisturbed.code).toBe(0);
        const told = events(undisturbed.out);
        const expected = await metricsIn(whole);
        expect(told.at(-1)).toEqual({
          event: 'done',
          run: expected.run,
          steps: 5,
          seconds: expect.any(Number),
          device: expect.stringContaining('WebAssembly'),
          before: { f1: expect.any(Number), em: expect.any(Number), legal: expect.any(Number), n: 6 },
          after: { f1: expect.any(Number), em: expect.any(Number), legal: expect.any(Number), n: 6 },
        });
        expect(told.filter(({ event }) => event === 'step').map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5]);

        const killedAt = path.join(folder, 'killed');
        const killed = await runTerminal(
          [...args, '--workspace', killedAt],
          (out, child) => out.includes('"step":3,') && child.kill('SIGKILL'),
        );
        expect(killed.signal).toBe('SIGKILL');
        const { run } = await metricsIn(killedAt);
        const resumed = await runTerminal(['train', '--resume', run, '--device', 'wasm', '--json']);
        expect(resumed.code).toBe(0);
        expect((await metricsIn(killedAt)).lines).toEqual(expected.lines);
      }, 240_000);

      it('saves on Ctrl-C, says how to go on, and goes on', async () => {
        const workspace = path.join(folder, 'interrupted');
        const { code, err, out } = await runTerminal(
          [...args, '--workspace', workspace],
          (text, child) => text.includes('"step":1,') && !child.killed && child.kill('SIGINT'),
        );
        expect(code).toBe(130);
        expect(events(out).at(-1)).toMatchObject({ event: 'paused' });
        const { run } = await metricsIn(workspace);
        expect(err).toContain(`--resume ${run}`);
        const resumed = await runTerminal(['train', '--resume', run, '--device', 'wasm', '--json']);
        expect(events(resumed.out).at(-1)).toMatchObject({ event: 'done', steps: 5 });
        expect((await metricsIn(workspace)).lines).toEqual((await metricsIn(path.join(folder, 'whole'))).lines);
      }, 240_000);

      it('answers a question, scores held-out ones and lists what a run did', async () => {
        const workspace = path.join(folder, 'whole');
        const { run } = await metricsIn(workspace);
        const asked = await runTerminal([
          'run',
          '--question',
          'Where does Mira live?',
          '--device',
          'wasm',
          '--json',
          '--workspace',
          workspace,
        ]);
        expect(events(asked.out)[0]).toMatchObject({
          event: 'trace',
          trace: { query: { question: 'Where does Mira live?' } },
        });
        const scored = await runTerminal([
          'eval',
          '--checkpoint',
          path.basename(run),
          '--limit',
          '6',
          '--device',
          'wasm',
          '--json',
          '--workspace',
          workspace,
        ]);
        const after = events(await readFile(path.join(run, 'metrics.jsonl'), 'utf8')).at(-1) as {
          eval: { f1: number; em: number; legal: number; n: number };
        };
        const { f1, em, legal, n } = after.eval;
        expect(events(scored.out).at(-1)).toMatchObject({ event: 'done', f1, em, legal, n });
        const listed = await runTerminal([
          'traces',
          path.basename(run),
          '--step',
          '5',
          '--phase',
          'eval',
          '--json',
          '--workspace',
          workspace,
        ]);
        const rows = events(listed.out);
        expect(rows).toHaveLength(7);
        const one = await runTerminal([
          'traces',
          path.basename(run),
          '--trace',
          String(rows[0].id),
          '--workspace',
          workspace,
        ]);
        expect(one.out).toContain('answer:');
      }, 120_000);

      it('fine-tunes on examples and exports what a run learned', async () => {
        const data = path.join(folder, 'examples.jsonl');
        await writeFile(
          data,
          Array.from({ length: 4 }, (_, i) =>
            JSON.stringify({ prompt: `Where does ${['Mira', 'Tom', 'Ana', 'Ben'][i]} live ?`, response: 'Oakton' }),
          ).join('\n'),
        );
        const to = path.join(folder, 'tuned');
        const tuned = await runTerminal([
          'sft',
          '--data',
          data,
          '--to',
          to,
          '--steps',
          '8',
          '--batch',
          '4',
          '--device',
          'wasm',
          '--json',
          '--workspace',
          folder,
        ]);
        const done = events(tuned.out).at(-1) as { before: { loss: number }; after: { loss: number } };
        expect(done.after.loss).toBeLessThan(done.before.loss);
        expect(await readdir(to)).toContain('model.safetensors');
        const { run } = await metricsIn(path.join(folder, 'whole'));
        const exported = await runTerminal([
          'models',
          'export',
          path.basename(run),
          '--as',
          'merged',
          '--to',
          path.join(folder, 'out'),
          '--device',
          'wasm',
          '--json',
          '--workspace',
          path.join(folder, 'whole'),
        ]);
        expect(exported.code).toBe(0);
        const inspected = await runTerminal([
          'models',
          'inspect',
          path.join(folder, 'out'),
          '--device',
          'cpu',
          '--json',
          '--workspace',
          folder,
        ]);
        expect(events(inspected.out).at(-1)).toMatchObject({ event: 'done', architecture: 'llama' });
      }, 120_000);
    },
  );
});
