/** `troupe traces`: what a run did, as a list or one trace in full. */
import type { Command } from 'commander';
import type { TraceFilter } from '../workflows/protocol.ts';
import { fixed, table } from './output.ts';
import { describe } from './run.ts';
import { runAt } from './place.ts';
import { withSession, type Common } from './session.ts';
import { whole } from './request.ts';

type TraceOptions = Common & {
  step?: number;
  phase?: 'train' | 'eval';
  text?: string;
  illegal?: boolean;
  limit: number;
  trace?: string;
};

export function addTraces(program: Command): void {
  program
    .command('traces')
    .description('list the traces of a run, or print one')
    .argument('<run>', 'run id or folder')
    .option('--step <n>', 'of this step', whole)
    .option('--phase <phase>', 'train or eval')
    .option('--text <text>', 'whose question or answer contains this')
    .option('--illegal', 'with an illegal output')
    .option('--limit <n>', 'rows at most', whole, 20)
    .option('--trace <id>', 'print this one in full')
    .option('--workspace <folder>', 'workspace')
    .option('--json', 'one JSON object a line')
    .action((named: string, options: TraceOptions) =>
      withSession(
        { ...options, device: 'cpu' },
        {},
        async ({ controller, output }) => {
          const { run } = runAt(named);
          if (options.trace !== undefined) {
            const trace = await controller.trace(run, options.trace);
            output.say(describe(trace));
            output.emit({ event: 'trace', trace });
            return 0;
          }
          const { step, phase, text, limit } = options;
          const filter: TraceFilter = {
            limit,
            ...(step === undefined ? {} : { step }),
            ...(phase === undefined ? {} : { phase }),
            ...(text === undefined ? {} : { text }),
            ...(options.illegal ? { legal: false } : {}),
          };
          const { total, rows } = await controller.traces(run, filter);
          const lines = rows.map((row) => [
            row.id,
            row.question.slice(0, 60),
            row.answer.slice(0, 30),
            fixed(row.f1, 2),
            fixed(row.reward, 2),
            row.legal ? '' : 'illegal',
          ]);
          output.say(table([['trace', 'question', 'answer', 'F1', 'reward', ''], ...lines]));
          output.say(`${rows.length} of ${total}`);
          for (const row of rows) output.emit({ event: 'trace', ...row });
          output.emit({ event: 'done', total, listed: rows.length });
          return 0;
        },
        () => runAt(named, options.workspace).workspace,
      ),
    );
}
