/** The main job on the page, from the first click to a role on another policy. */
import {
  forkARecord,
  moveARole,
  pauseReloadResume,
  seeTheCurveRise,
  seeTheModels,
  startFirstTeam,
  stepThroughATrace,
} from '../e2e-steps.ts';
import { expect, test } from './page.ts';

test('a newcomer trains a first team, pauses, reloads, resumes, reads a trace and recasts a role', async ({
  page,
  address,
}) => {
  test.setTimeout(600_000);
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  await page.goto(address);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  await test.step('start', () => startFirstTeam(page));
  await test.step('curve', () => seeTheCurveRise(page));
  await test.step('pause, reload, resume', () => pauseReloadResume(page));
  await test.step('trace', () => stepThroughATrace(page));
  await test.step('fork', () => forkARecord(page));
  await test.step('cast', () => moveARole(page));
  await test.step('models', () => seeTheModels(page));
  expect(problems).toEqual([]);
});
