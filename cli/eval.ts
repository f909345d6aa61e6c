/** `troupe eval`: greedy answers to held-out questions, scored. */
import type { Command } from 'commander';
import { fixed } from './output.ts';
import { runAt, workspaceFolder } from './place.ts';
import { withSession, type Common } from './session.ts';
import { castOf, collect, located, searchOf, taskOptionsOf, whole } from './request.ts';
import { scored } from './train.ts';

type EvalOptions = Common & {
  task?: string;
  corpus?: string;
  model: string;
  cast: string;
  checkpoint?: string;
  limit: number;
  seed: number;
  map?: string;
  taskSet: string[];
  passages?: number;
  words?: number;
  allowWeb?: boolean;
};

export function addEval(program: Command): void {
  program
    .command('eval')
    .description('score a team on held-out questions, greedily')
    .argument('[workflow]', 'template, saved workflow or .json file', 'qd-answer')
    .option(
      '--task <name>',
      'task, or a JSONL file of questions (default: the run’s own with --checkpoint, else as for train)',
    )
    .option('--corpus <file>', 'JSONL file of {title, text} to search')
    .option('--model <name>', 'model, or a folder or .gguf file', 'nano')
    .option('--cast <name>', 'shared, separate or a .json file', 'shared')
    .option('--checkpoint <run>', 'a run (id or folder) for its last checkpoint, or RUN@STEP')
    .option('--limit <n>', 'questions at most', whole, 100)
    .option('--seed <n>', 'seed', whole, 0)
    .option('--map <fields>', 'which fields of the file are what: question=prompt,answer=target')
    .option('--task-set <key=value>', 'an option of the task (repeatable)', collect, [])
    .option('--passages <n>', 'passages a search gives at most', whole)
    .option('--words <n>', 'words kept of each passage; 0 keeps all', whole)
    .option('--allow-web', 'let tools read the web, from the hosts their nodes name')
    .option('--device <kind>', 'auto, webgpu, wasm or cpu', 'auto')
    .option('--workspace <folder>', 'workspace')
    .option('--json', 'one JSON object a line')
    .action((workflow: string, options: EvalOptions) =>
      withSession(
        options,
        {},
        async ({ controller, output }) => {
          const { limit, seed } = options;
          const checkpoint = options.checkpoint === undefined ? undefined : runAt(options.checkpoint).run;
          const model = located(options.model);
          const task = options.task === undefined ? undefined : located(options.task);
          const corpus = options.corpus === undefined ? undefined : located(options.corpus);
          const started = performance.now();
          const { evaluation } = await controller.evaluate(
            {
              workflow,
              model,
              ...(task === undefined ? {} : { task }),
              cast: await castOf(options.cast),
              seed,
              limit,
              ...searchOf(options),
              ...(options.allowWeb === true ? { web: true } : {}),
              taskOptions: taskOptionsOf(options),
              ...(corpus === undefined ? {} : { corpus }),
              ...(checkpoint === undefined ? {} : { checkpoint }),
            },
            (done, total) => output.progress(`${done} of ${total} role calls`, false),
          );
          const { f1, em, legal, n, roles, ...score } = evaluation;
          output.say(`${scored(evaluation)}  legal ${fixed(legal)}  on ${n} held-out questions`);
          output.emit({
            event: 'done',
            f1,
            em,
            legal,
            n,
            ...score,
            roles,
            seconds: (performance.now() - started) / 1_000,
          });
          return 0;
        },
        () =>
          options.checkpoint === undefined
            ? workspaceFolder(options.workspace)
            : runAt(options.checkpoint, options.workspace).workspace,
      ),
    );
}
