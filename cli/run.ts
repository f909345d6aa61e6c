/** `troupe run`: one question to one team. */
import type { Command } from 'commander';
import type { Trace } from '../workflows/schema/trace.ts';
import { runAt, workspaceFolder } from './place.ts';
import { withSession, type Common } from './session.ts';
import { castOf, located, whole } from './request.ts';

type RunOptions = Common & {
  question: string;
  task?: string;
  model: string;
  cast: string;
  run?: string;
  seed: number;
  allowWeb?: boolean;
};

export function addRun(program: Command): void {
  program
    .command('run')
    .description('ask a team one question and print what each role said')
    .argument('[workflow]', 'template, saved workflow or .json file', 'qd-answer')
    .requiredOption('--question <text>', 'the question')
    .option('--task <name>', 'task whose corpus is searched (default: as for train)')
    .option('--model <name>', 'model, or a folder or .gguf file', 'nano')
    .option('--cast <name>', 'shared, separate or a .json file', 'shared')
    .option('--run <id>', 'use the last checkpoint of this training run (id or folder)')
    .option('--seed <n>', 'seed', whole, 0)
    .option('--allow-web', 'let tools read the web, from the hosts their nodes name')
    .option('--device <kind>', 'auto, webgpu, wasm or cpu', 'auto')
    .option('--workspace <folder>', 'workspace')
    .option('--json', 'the trace as one JSON object')
    .action((workflow: string, options: RunOptions) =>
      withSession(
        options,
        {},
        async ({ controller, output }) => {
          const { question, task, seed } = options;
          const run = options.run === undefined ? undefined : runAt(options.run).run;
          const model = located(options.model);
          const trace = await controller.runQuestion({
            workflow,
            cast: await castOf(options.cast),
            model,
            ...(task === undefined ? {} : { task }),
            question,
            seed,
            ...(options.allowWeb === true ? { web: true } : {}),
            ...(run === undefined ? {} : { run }),
          });
          output.say(describe(trace));
          output.emit({ event: 'trace', trace });
          return trace.status === 'done' ? 0 : 1;
        },
        () =>
          options.run === undefined
            ? workspaceFolder(options.workspace)
            : runAt(options.run, options.workspace).workspace,
      ),
    );
}

export function describe(trace: Trace): string {
  const lines = trace.records.map((record) => {
    const said = record.text ?? JSON.stringify(record.outputs);
    const marks = [
      record.legal === false ? `illegal: ${record.problem}` : '',
      record.error ?? '',
      record.reward === undefined ? '' : `reward ${record.reward.toFixed(2)}`,
    ];
    return `${record.title || record.node} (${record.kind}): ${said}${marks
      .filter(Boolean)
      .map((mark) => ` [${mark}]`)
      .join('')}`;
  });
  const end = trace.status === 'dropped' ? `dropped: ${trace.reason}` : `answer: ${trace.answer ?? ''}`;
  const score =
    trace.query.answers.length === 0
      ? ''
      : `   (expected ${trace.query.answers.join(' or ')}; F1 ${(trace.score.f1 ?? 0).toFixed(2)})`;
  return [...lines, `${end}${score}`].join('\n');
}
