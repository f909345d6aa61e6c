/** `troupe fork`: changes one record of a kept trace and runs it on from there. */
import type { Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import type { ForkChange, Trace } from '../workflows/schema/trace.ts';
import { outcomeOf } from '../workflows/train/summary.ts';
import { fixed, table } from './output.ts';
import { readUserFile, runAt } from './place.ts';
import { describe } from './run.ts';
import { withSession, type Common } from './session.ts';
import { whole } from './request.ts';

type ForkOptions = Common & { record: string; say?: string; draws?: number; edit?: string };

export function addFork(program: Command): void {
  program
    .command('fork')
    .description('change one record of a trace and run it on from there')
    .argument('<run>', 'run id or folder, or "questions" for single ones')
    .argument('<trace>', 'trace id, as troupe traces lists it')
    .requiredOption('--record <id>', 'the record to change, as in the trace: "answer#0"')
    .option('--say <text>', 'other words of a role')
    .option('--draws <n>', 'so many other draws of a role, each with a seed of its own', whole)
    .option('--edit <file>', 'a .json file with a change, or a list of them: {"kind": "outputs", "outputs": {…}}')
    .option('--device <kind>', 'auto, webgpu, wasm or cpu', 'auto')
    .option('--workspace <folder>', 'workspace')
    .option('--json', 'each fork as one JSON object')
    .action((named: string, id: string, options: ForkOptions) =>
      withSession(
        options,
        {},
        async ({ controller, output }) => {
          const { run } = runAt(named);
          const changes = await changesOf(options, async () => controller.forks(run, id));
          const original = await controller.trace(run, id);
          const forks = await controller.forkTrace({ run, trace: id, record: options.record, changes });
          output.say(forks.length === 1 ? describe(forks[0]) : list(original, forks, options.record));
          for (const fork of forks) output.emit({ event: 'fork', trace: fork });
          return 0;
        },
        () => runAt(named, options.workspace).workspace,
      ),
    );
}

/** Exactly one way to change a record. */
async function changesOf({ say, draws, edit }: ForkOptions, forks: () => Promise<Trace[]>): Promise<ForkChange[]> {
  const given = [say, draws, edit].filter((each) => each !== undefined).length;
  if (given !== 1) throw new UserError(`Give one of --say, --draws and --edit, not ${given || 'none'} of them`);
  if (say !== undefined) return [{ kind: 'text', text: say }];
  if (draws !== undefined) {
    const used = (await forks()).flatMap(({ fork }) => (fork?.change.kind === 'seed' ? [fork.change.seed] : []));
    const first = Math.max(0, ...used) + 1;
    return Array.from({ length: draws }, (_, i) => ({ kind: 'seed', seed: first + i }));
  }
  const text = new TextDecoder().decode(await readUserFile(edit!));
  try {
    return [JSON.parse(text)].flat() as ForkChange[]; // checked by the controller
  } catch (error) {
    throw new UserError(`Not JSON: ${edit}: ${(error as Error).message}`);
  }
}

function list(original: Trace, forks: readonly Trace[], record: string): string {
  const row = (trace: Trace) => [
    trace.id,
    fixed(outcomeOf(trace) ?? undefined, 2),
    (trace.records.find(({ id }) => id === record)?.text ?? '').replace(/\s+/g, ' ').slice(0, 60),
  ];
  return table([['trace', 'score', 'said'], row(original), ...forks.map(row)]);
}
