/** Progress: how often a line comes, what it says is left, and that Ctrl+C is heard only meanwhile. */
import { expect, it } from 'vitest';
import { interruptions, progressLines } from './progress.ts';

it('says a line each ten seconds, with what is left of a part at its own pace', () => {
  const lines: string[] = [];
  let time = 1000;
  const progress = progressLines((line) => lines.push(line), () => time); // prettier-ignore
  progress('generation', 0, 100);
  for (const [ms, done] of [[5_000, 5], [10_000, 10], [12_000, 12], [20_000, 40]]) {
    time = 1000 + ms;
    progress('generation', done, 100);
  } // prettier-ignore
  time = 60_000;
  progress('update', 1, 4);
  time = 260_000;
  progress('update', 2, 4);
  expect(lines).toEqual([
    '  generation: 10 %, about 90 s left of it',
    '  generation: 40 %, about 30 s left of it',
    '  update: 50 %, about 3 min left of it',
  ]);
});

it('is cancelled by the first interruption and hears none after its end', () => {
  const before = process.listenerCount('SIGINT');
  const said: string[] = [];
  const work = interruptions((line) => said.push(line));
  expect(work.cancelled()).toBe(false);
  process.emit('SIGINT');
  expect(work.cancelled()).toBe(true);
  expect(said).toHaveLength(1);
  work.end();
  expect(process.listenerCount('SIGINT')).toBe(before);
});
