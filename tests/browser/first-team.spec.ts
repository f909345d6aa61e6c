/** The main job on the page, from the first click to a role on another policy; the page is killed in mid-run. */
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
import { expect, test } from './page.ts';

test('a newcomer trains a first team, pauses, reloads, resumes, loses the page, reads a trace and recasts a role', async ({
  page,
  address,
  context,
}) => {
  test.setTimeout(900_000);
  const problems: string[] = [];
  context.on('weberror', (error) => problems.push(error.error().message));
  context.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  await page.goto(address);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  await test.step('start', () => startFirstTeam(page));
  await test.step('curve', () => seeTheCurveRise(page));
  await test.step('pause, reload, resume', () => pauseReloadResume(page));
  const next = await test.step('killed in mid-run', () =>
    killedInMidRun(page, async (url) => {
      const cdp = await context.newCDPSession(page);
      await Promise.race([cdp.send('Page.crash').catch(() => undefined), page.waitForEvent('crash')]);
      const again = await context.newPage();
      await again.goto(url);
      return again;
    }));
  await test.step('a point of a curve', () => openAPointsTraces(next));
  await test.step('trace', () => stepThroughATrace(next));
  await test.step('fork', () => forkARecord(next));
  await test.step('compare', () => compareTwoAnswers(next));
  await test.step('cast', () => moveARole(next));
  await test.step('models', () => seeTheModels(next));
  expect(problems).toEqual([]);
});
