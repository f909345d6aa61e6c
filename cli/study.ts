/** `troupe study`: a grid of teams trained side by side, and the report on how they differ. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import type { Job } from '../workflows/protocol.ts';

import type { Concluded } from '../workflows/study/conclude.ts';
import type { CellState, StudyHooks } from '../workflows/study/run.ts';
import type { Study } from '../workflows/study/schema.ts';
import { bar, duration, fixed, openOutput, table, type Output } from './output.ts';
import { readUserFile, workspaceFolder } from './place.ts';
import { deviceChoice, exitCodes, finish, type Common } from './session.ts';
import { located } from './request.ts';
import { onInterrupt, stepLine } from './train.ts';

type StudyOptions = Common & { to?: string };

export function addStudy(program: Command): void {
  program
    .command('study')
    .description('train a grid of teams on the same questions and compare them')
    .argument('<file>', 'JSON file that says what is compared')
    .option('--to <folder>', 'also write the report here')
    .option('--device <kind>', 'auto, webgpu, wasm or cpu', 'auto')
    .option('--workspace <folder>', 'workspace')
    .option('--json', 'one JSON object a line')
    .action(studyCommand);
}

async function studyCommand(file: string, options: StudyOptions): Promise<void> {
  const output = openOutput(options.json === true);
  await finish(output, async () => {
    const device = deviceChoice(options.device);
    const workspace = workspaceFolder(options.workspace);
    const [{ terminalHost }, { runStudy }, { concludeStudy }] = await Promise.all([
      import('./host.ts'),
      import('../workflows/study/run.ts'),
      import('../workflows/study/conclude.ts'),
    ]);
    const study = await readStudy(file);
    const host = await terminalHost(workspace, device);
    const pause = new AbortController();
    const stopListening = onInterrupt(() => pause.abort(), output);
    const end = await runStudy(host, study, hooksOf(output), pause.signal).finally(stopListening);
    const concluded = await concludeStudy(host.places.store, study, end.cells);
    const folder = path.join(workspace, 'studies', study.name);
    if (concluded !== null) await tell(output, concluded, folder, options.to);
    if (end.outcome === 'paused') {
      output.emit({ event: 'paused', study: folder });
      output.warn(`Paused. Finished runs are kept; go on with: npm run troupe -- study ${file}`);
      return exitCodes.interrupted;
    }
    output.emit({
      event: 'done',
      study: folder,
      cells: end.cells.length,
      failed: end.failed,
      differences: concluded?.results.differences ?? [],
    });
    return end.failed === 0 ? exitCodes.done : exitCodes.mendable;
  });
}

/** Paths in a study are meant from its own folder. */
async function readStudy(file: string): Promise<Study> {
  const [{ parseStudy }, { readAs }] = await Promise.all([
    import('../workflows/study/schema.ts'),
    import('../workflows/workspace/layout.ts'),
  ]);
  const study = readAs(parseStudy, await readUserFile(file), file);
  const from = (named: string) => located(named, path.dirname(file));
  return {
    ...study,
    workflows: study.workflows.map(from),
    models: study.models.map(from),
    task: from(study.task),
    ...(study.corpus === undefined ? {} : { corpus: from(study.corpus) }),
    casts: study.casts.map((cast) => (typeof cast === 'string' ? from(cast) : cast)),
  };
}

const said: Record<CellState, string> = {
  kept: 'is finished already',
  begun: 'begins',
  resumed: 'goes on',
  done: 'is finished',
  failed: 'failed',
};

function hooksOf(output: Output): StudyHooks {
  let place = { index: 0, total: 1 };
  let lastLine = 0;
  const seconds: number[] = [];
  let begunAt = performance.now();
  return {
    onCell: (cell, state, index, total, error) => {
      place = { index, total };
      if (state === 'begun' || state === 'resumed') begunAt = performance.now();
      if (state === 'done') seconds.push((performance.now() - begunAt) / 1_000);
      output.emit({ event: 'cell', cell: cell.id, state, index, total, ...(error === undefined ? {} : { error }) });
      output.say(`${index + 1} of ${total} · ${cell.id} ${said[state]}${error === undefined ? '' : `: ${error}`}`);
    },
    onJob: (_, job) => {
      const due = performance.now() - lastLine > 30_000;
      if (due) lastLine = performance.now();
      output.progress(progressLine(place, job, etaMs(place, job, seconds)), due && job.state === 'running');
    },
    onStep: (cell, metrics) => {
      lastLine = performance.now();
      output.emit({ event: 'step', cell: cell.id, ...metrics });
      output.say(`  ${stepLine(metrics)}`);
      for (const note of metrics.notes) output.warn(note);
    },
    onWarning: (text) => output.warn(text),
  };
}

function progressLine({ index, total }: { index: number; total: number }, job: Job, eta: number | null): string {
  return `${bar(index * job.steps + job.step, total * job.steps)} run ${index + 1} of ${total} · step ${job.step} of ${job.steps} · ${job.phase} · ${duration(eta)} left`;
}

/** What is left of this run, and as long as the finished ones took for each that follows; null until one can be told. */
function etaMs(
  { index, total }: { index: number; total: number },
  job: Job,
  seconds: readonly number[],
): number | null {
  if (job.etaMs === null) return null;
  const perStep = job.etaMs / Math.max(1, job.steps - job.step);
  const perRun =
    seconds.length === 0 ? perStep * job.steps : (seconds.reduce((a, b) => a + b, 0) / seconds.length) * 1_000;
  return job.etaMs + perRun * (total - index - 1);
}

async function tell(output: Output, { results, files }: Concluded, folder: string, to?: string): Promise<void> {
  const mean = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
  const rows = results.arms.map(({ label, cells }) => [
    label,
    cells.length,
    fixed(mean(cells.map(({ final }) => final))),
    fixed(mean(cells.map(({ peak }) => peak))),
  ]);
  output.say(table([['arm', 'runs', 'after', 'best'], ...rows]));
  const { verdict } = await import('../workflows/study/report.ts');
  for (const difference of results.differences) output.say(verdict(difference));
  const places = to === undefined ? [folder] : [folder, path.resolve(to)];
  if (to !== undefined) {
    await mkdir(to, { recursive: true });
    for (const { name, bytes } of files) await writeFile(path.join(to, name), bytes);
  }
  for (const place of places) output.say(`report: ${path.join(place, files[0].name)}`);
  output.emit({ event: 'report', files: places.flatMap((place) => files.map(({ name }) => path.join(place, name))) });
}
