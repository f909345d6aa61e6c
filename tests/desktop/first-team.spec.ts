/** The main job in the desktop window; the run goes on in the hidden window while the visible one reloads. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  moveARole,
  pauseReloadResume,
  seeTheCurveRise,
  seeTheModels,
  startFirstTeam,
  stepThroughATrace,
} from '../e2e-steps.ts';
import { expect, test } from './window.ts';

test('a newcomer trains a first team, pauses, reloads, resumes, reads a trace and recasts a role', async ({
  desktop: { window, workspace },
}) => {
  test.setTimeout(600_000);
  const problems: string[] = [];
  window.on('pageerror', (error) => problems.push(error.message));
  await test.step('start', () => startFirstTeam(window));
  await test.step('curve', () => seeTheCurveRise(window));
  await test.step('pause, reload, resume', () => pauseReloadResume(window));
  await test.step('trace', () => stepThroughATrace(window));
  await test.step('cast', () => moveARole(window));
  await test.step('models', () => seeTheModels(window));
  expect(problems).toEqual([]);
  const [run] = await readdir(join(workspace, 'runs'));
  expect(await readdir(join(workspace, 'runs', run))).toEqual(expect.arrayContaining(['metrics.jsonl', 'run.json']));
});
