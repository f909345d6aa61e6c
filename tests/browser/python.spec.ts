/**
 * The Python sandbox as it is built for the page, in a real browser under the page's own security policy, against the core
 * of the hostile programs that Node's sandbox is tested with.
 */
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  deaf,
  endless,
  failing,
  leaving,
  probe,
  probePrints,
} from '../../workflows/tools/sandbox/python-hostile-programs.ts';
import { root } from '../program.ts';
import { expect, test } from './page.ts';

type Answer = { ok: boolean; output: string; error: string | null } | 'ended';

/** Those that reach for the host, grow without end or break the interpreter. */
const core = Object.fromEntries(
  Object.entries(failing).filter(([name]) =>
    /recursion|list that grows|bytearray|huge number$|files|root|new file|removed|fork|command|popen|exit|crash|thread|socket|request|bridge|JavaScript|foreign|library|network|bytecode|input/.test(
      name,
    ),
  ),
);

test('hostile Python is stopped at its limits, reaches nothing and leaves nothing behind', async ({
  page,
  address,
}) => {
  const worker = readdirSync(resolve(root, 'dist/renderer/assets')).find((name) => /^python\.web-.*\.js$/.test(name));
  const foreign: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(address) && !/^(data|blob):/.test(request.url())) foreign.push(request.url());
  });
  await page.goto(address);
  await page.evaluate(async (source) => {
    type Message = { kind: string; interrupt?: SharedArrayBuffer | null; reply?: Exclude<Answer, 'ended'> };
    let thread: Worker | null = null;
    let flag: Uint8Array | null = null;
    let [loaded, ended] = [0, 0];
    const next = () =>
      new Promise<Message>((settle, fail) => {
        thread!.addEventListener('message', (event) => settle(event.data as Message), { once: true });
        thread!.addEventListener('error', (event) => fail(new Error(event.message)), { once: true });
      });
    /** As the pool does it: at the limit the program is interrupted, soon after the thread is ended. */
    const run = async (program: string, timeMs: number): Promise<Answer> => {
      if (thread === null) {
        thread = new Worker(new URL(source, document.baseURI), { type: 'module' });
        const ready = await next();
        if (ready.kind !== 'ready') throw new Error(JSON.stringify(ready));
        flag = new Uint8Array(ready.interrupt!);
        loaded++;
      }
      flag![0] = 0;
      const limits = { timeMs, memoryBytes: 96 * 2 ** 20, outputChars: 1_000 };
      const answered = next();
      thread.postMessage({ program, test: null, data: 'null', limits });
      const interrupting = setTimeout(() => (flag![0] = 2), timeMs);
      let ending: ReturnType<typeof setTimeout> | undefined;
      const over = new Promise<null>((settle) => (ending = setTimeout(() => settle(null), timeMs + 2_000)));
      const message = await Promise.race([answered, over]);
      clearTimeout(interrupting);
      clearTimeout(ending);
      if (message === null || message.kind !== 'done') {
        thread.terminate();
        thread = null;
        ended++;
      }
      if (message === null) return 'ended';
      if (message.kind !== 'done') throw new Error(JSON.stringify(message));
      return message.reply!;
    };
    Object.assign(globalThis, { runPython: run, pythonThreads: () => [loaded, ended] });
  }, `assets/${worker}`);
  const run = (program: string, timeMs: number) =>
    page.evaluate(
      ([text, ms]) =>
        (globalThis as unknown as { runPython(a: string, b: number): Promise<Answer> }).runPython(text, ms),
      [program, timeMs] as const,
    );
  const patientMs = 30_000;
  let plain: string | undefined;
  const asItWas = async (after: string) => {
    const answer = await run(probe, patientMs);
    expect(answer, after).toMatchObject({ ok: true, output: expect.stringMatching(probePrints) });
    expect((answer as { output: string }).output, after).toBe((plain ??= (answer as { output: string }).output));
  };

  await asItWas('loading');
  const [first, second] = Object.entries(endless);
  for (const [name, program] of [first, second, ...Object.entries(endless).slice(3, 8)]) {
    const answer = await run(program, 200);
    expect(answer === 'ended' || !answer.ok, name).toBe(true);
    await asItWas(name);
  }
  for (const [name, program] of Object.entries(deaf)) {
    expect(await run(program, 200), name).toBe('ended');
    await asItWas(name);
  }
  expect(Object.keys(core).length).toBeGreaterThanOrEqual(25);
  for (const [name, program] of Object.entries(core)) {
    const answer = await run(program, patientMs);
    expect(answer, name).toMatchObject({ ok: false, error: expect.stringMatching(/./) });
    expect(JSON.stringify(answer), name).not.toMatch(/root:|uid=/);
    await asItWas(name);
  }
  for (const [name, program] of Object.entries(leaving)) {
    expect(await run(program, patientMs), name).toMatchObject({ ok: true });
    await asItWas(name);
  }
  const [loaded, ended] = await page.evaluate(() =>
    (globalThis as unknown as { pythonThreads(): [number, number] }).pythonThreads(),
  );
  expect(ended).toBeGreaterThanOrEqual(Object.keys(deaf).length);
  // Python is loaded once a thread: anew only where a thread had to be ended.
  expect(loaded).toBe(ended + 1);
  expect(foreign).toEqual([]);
});
