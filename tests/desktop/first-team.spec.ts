/** The main job in the desktop window; the run goes on in the hidden window while the visible one reloads, and outlives the program. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  compareTwoAnswers,
  forkARecord,
  killedInMidRun,
  moveARole,
  openAPointsTraces,
  pauseReloadResume,
  seeTheCurveRise,
  seeTheModels,
  startFirstTeam,
  stepThroughATrace,
} from '../e2e-steps.ts';
import { expect, killed, openDesktop, test } from './window.ts';

test('a newcomer trains a first team, pauses, reloads, resumes, loses the program, reads a trace and recasts a role', async () => {
  test.setTimeout(900_000);
  const folder = await mkdtemp(join(tmpdir(), 'troupe-first-'));
  let { app, window, workspace } = await openDesktop(folder);
  try {
    const problems: string[] = [];
    const watch = (): unknown => window.on('pageerror', (error) => problems.push(error.message));
    watch();
    await test.step('start', () => startFirstTeam(window));
    await test.step('curve', () => seeTheCurveRise(window));
    await test.step('pause, reload, resume', () => pauseReloadResume(window));
    await test.step('killed in mid-run', () =>
      killedInMidRun(window, async (url) => {
        await killed(app);
        ({ app, window, workspace } = await openDesktop(folder));
        watch();
        await window.evaluate((to) => (location.hash = to), new URL(url).hash);
        return window;
      }));
    await test.step('a point of a curve', () => openAPointsTraces(window));
    await test.step('trace', () => stepThroughATrace(window));
    await test.step('fork', () => forkARecord(window));
    await test.step('compare', () => compareTwoAnswers(window));
    await test.step('cast', () => moveARole(window));
    await test.step('models', () => seeTheModels(window));
    expect(problems).toEqual([]);
    const [run] = await readdir(join(workspace, 'runs'));
    expect(await readdir(join(workspace, 'runs', run))).toEqual(expect.arrayContaining(['metrics.jsonl', 'run.json']));
  } finally {
    await app.close();
    await rm(folder, { recursive: true, force: true });
  }
});
