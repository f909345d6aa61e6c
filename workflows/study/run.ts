/**
 * Runs a study: cell after cell, each a normal run of the workspace that can be opened, traced and resumed like any other.
 * Finished cells are kept, an interrupted one goes on from its checkpoint, and one that fails does not end the others. Each
 * cell has an engine of its own, so that what one took of memory is not counted for the next.
 */
import { UserError } from '../../engine/errors.ts';
import { createController, type Controller } from '../controller.ts';
import type { Host } from '../controller/host.ts';
import type { Job } from '../protocol.ts';
import type { StepMetrics } from '../schema/run.ts';
import { parseCast } from '../schema/migrate.ts';
import { unheard } from '../unheard.ts';
import { jsonBytes, paths, readAs } from '../workspace/layout.ts';
import { readState } from '../workspace/runs.ts';
import { checkSame, readNotes, writeNotes, type CellNotes } from './cells.ts';
import { planStudy, type Cell } from './plan.ts';
import type { Study } from './schema.ts';

export type CellState = 'kept' | 'begun' | 'resumed' | 'done' | 'failed';

export type StudyHooks = {
  /** `index` counts from 0. */
  onCell(cell: Cell, state: CellState, index: number, total: number, error?: string): void;
  onJob(cell: Cell, job: Job): void;
  onStep(cell: Cell, metrics: StepMetrics): void;
  onWarning(text: string): void;
};

export type StudyEnd = { outcome: 'done' | 'paused'; cells: Cell[]; failed: number };

/** Runs what is left of a study until it is done, or until `signal` asks for a pause. Throws a UserError for a study that cannot run. */
export async function runStudy(host: Host, study: Study, hooks: StudyHooks, signal: AbortSignal): Promise<StudyEnd> {
  const { store } = host.places;
  const cells = await plan(host, study);
  const notes = await readNotes(store, study.name);
  await checkSame(store, cells, notes);
  await store.write(`${paths.study(study.name)}/study.json`, jsonBytes(study));
  let failed = 0;
  for (const [index, cell] of cells.entries()) {
    if (signal.aborted) return { outcome: 'paused', cells, failed };
    const tell = (state: CellState, error?: string) => hooks.onCell(cell, state, index, cells.length, error);
    if ((await readState(store, cell.id))?.state === 'done') {
      tell('kept');
      continue;
    }
    const ended = await runCell({ host, study, cell, notes, hooks, tell, signal });
    if (ended === 'paused') return { outcome: 'paused', cells, failed };
    if (ended === 'failed') failed += 1;
  }
  return { outcome: 'done', cells, failed };
}

async function plan(host: Host, study: Study): Promise<Cell[]> {
  const controller = createController(host, unheard);
  try {
    return await planStudy(study, {
      workflow: (name) => controller.workflow(name),
      inspect: (model) => controller.inspectModel(model),
      cast: async (path) => {
        if (!host.readFile) throw new UserError(`Files cannot be read here: ${path}; write the cast into the study`);
        return readAs(parseCast, await host.readFile(path), path);
      },
    });
  } finally {
    await controller.close();
  }
}

type CellRun = {
  host: Host;
  study: Study;
  cell: Cell;
  notes: CellNotes;
  hooks: StudyHooks;
  tell: (state: CellState, error?: string) => void;
  signal: AbortSignal;
};

async function runCell(run: CellRun): Promise<'done' | 'paused' | 'failed'> {
  const { host, cell, hooks, signal, tell } = run;
  const controller = createController(host, {
    ...unheard,
    onJob: (job) => hooks.onJob(cell, job),
    onStep: (_, metrics) => hooks.onStep(cell, metrics),
    onNotice: ({ level, text }) => level !== 'error' && hooks.onWarning(text),
  });
  const pause = () => void controller.pause(cell.id).catch(() => {});
  try {
    await begin(run, controller);
    signal.addEventListener('abort', pause);
    if (signal.aborted) pause();
    const error = await controller.settled(cell.id).then(
      () => undefined,
      (reason: unknown) => (reason instanceof Error ? reason.message : String(reason)),
    );
    // An engine that went away with its device has nothing more to say.
    const { peakBytes } = await controller.memory().catch(() => ({ peakBytes: 0 }));
    await remember(run, { peakBytes, error });
    if (error !== undefined) {
      tell('failed', error);
      return 'failed';
    }
    const { state } = await controller.run(cell.id);
    if (state !== 'done') return 'paused';
    tell('done');
    return 'done';
  } finally {
    signal.removeEventListener('abort', pause);
    await controller.close();
  }
}

async function begin(run: CellRun, controller: Controller): Promise<void> {
  const { host, cell, tell } = run;
  const exists = (await host.places.store.stat(paths.config(cell.id))) !== null;
  // Before the run's own folder, or a kill between the two would leave a run that no study knows.
  await remember(run, { peakBytes: 0 });
  tell(exists ? 'resumed' : 'begun');
  if (exists) await controller.resume(cell.id);
  else await controller.train({ ...cell.request, id: cell.id });
}

async function remember(
  { host, study, cell, notes }: CellRun,
  { peakBytes, error }: { peakBytes: number; error?: string },
): Promise<void> {
  notes[cell.id] = {
    request: JSON.stringify(cell.request),
    peakBytes: Math.max(peakBytes, notes[cell.id]?.peakBytes ?? 0),
    ...(error === undefined ? {} : { error }),
  };
  await writeNotes(host.places.store, study.name, notes);
}
