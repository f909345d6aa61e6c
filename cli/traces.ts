/** `troupe traces`: what a run did, as a list, one trace in full, or a file. */
import { open, type FileHandle } from 'node:fs/promises';
import type { Command } from 'commander';
import { fileWriter } from 'hyparquet-writer';
import { UserError } from '../engine/errors.ts';
import { openTable } from '../workflows/export/parquet.ts';
import { traceHtml, traceMarkdown } from '../workflows/export/readable.ts';
import type { ControllerApi, TraceFilter } from '../workflows/protocol.ts';
import type { Trace } from '../workflows/schema/trace.ts';
import { fixed, table, type Output } from './output.ts';
import { describe } from './run.ts';
import { runAt } from './place.ts';
import { withSession, type Common } from './session.ts';
import { whole } from './request.ts';

type TraceOptions = Common & {
  step?: number;
  phase?: 'train' | 'eval';
  text?: string;
  role?: string;
  illegal?: boolean;
  failed?: boolean;
  tag?: string;
  order?: string;
  limit: number;
  trace?: string;
  markdown?: boolean;
  html?: boolean;
  export?: string;
};

const orders = ['newest', 'oldest', 'query', 'best', 'worst', 'most-reward', 'least-reward', 'longest'] as const;
const PAGE = 500;

export function addTraces(program: Command): void {
  program
    .command('traces')
    .description('list the traces of a run, print one, or export them')
    .argument('<run>', 'run id or folder, or "questions" for single ones')
    .option('--step <n>', 'of this step', whole)
    .option('--phase <phase>', 'train or eval')
    .option('--text <text>', 'whose question or answer contains this')
    .option('--role <name>', 'in which this role spoke')
    .option('--illegal', 'with an illegal output (of that role)')
    .option('--failed', 'in which a tool failed')
    .option('--tag <tag>', 'with this tag')
    .option('--order <order>', orders.join(', '))
    .option('--limit <n>', 'rows at most', whole, 20)
    .option('--trace <id>', 'print this one in full')
    .option('--markdown', 'with --trace: as a Markdown document')
    .option('--html', 'with --trace: as a page of its own')
    .option(
      '--export <file>',
      'write all that are listed, whole: one JSON object a line, or a table where its name ends in .parquet',
    )
    .option('--workspace <folder>', 'workspace')
    .option('--json', 'one JSON object a line')
    .action((named: string, options: TraceOptions) =>
      withSession(
        { ...options, device: 'cpu' },
        {},
        ({ controller, output }) => {
          const { run } = runAt(named);
          if (options.trace !== undefined) return printOne(controller, output, run, options.trace, options);
          const filter = filterOf(options);
          if (options.export !== undefined) return exportAll(controller, output, run, filter, options.export);
          return listThem(controller, output, run, { ...filter, limit: options.limit });
        },
        () => runAt(named, options.workspace).workspace,
      ),
    );
}

function filterOf({ step, phase, text, role, tag, order, illegal, failed }: TraceOptions): TraceFilter {
  const known = orders.find((each) => each === order);
  if (order !== undefined && known === undefined)
    throw new UserError(`No such order: ${order}; use ${orders.join(', ')}`);
  return {
    ...(step === undefined ? {} : { step }),
    ...(phase === undefined ? {} : { phase }),
    ...(text === undefined ? {} : { text }),
    ...(role === undefined ? {} : { role }),
    ...(tag === undefined ? {} : { tag }),
    ...(known === undefined ? {} : { order: known }),
    ...(illegal ? { legal: false } : {}),
    ...(failed ? { failed: true } : {}),
  };
}

async function printOne(
  controller: ControllerApi,
  output: Output,
  run: string,
  id: string,
  { markdown, html }: TraceOptions,
): Promise<number> {
  const trace = await controller.trace(run, id);
  const notes = markdown || html ? await controller.notes(run) : [];
  if (markdown) output.say(traceMarkdown(trace, notes).trimEnd());
  else if (html) output.say(traceHtml(trace, notes).trimEnd());
  else output.say(describe(trace));
  output.emit({ event: 'trace', trace });
  return 0;
}

async function listThem(controller: ControllerApi, output: Output, run: string, filter: TraceFilter): Promise<number> {
  const { total, rows } = await controller.traces(run, filter);
  const lines = rows.map((row) => [
    row.id,
    row.question.slice(0, 60),
    row.answer.slice(0, 30),
    fixed(row.score, 2),
    fixed(row.reward, 2),
    [row.legal ? '' : 'illegal', row.failed ? 'failed' : '', ...(row.tags ?? [])].filter(Boolean).join(', '),
  ]);
  output.say(table([['trace', 'question', 'answer', 'score', 'reward', ''], ...lines]));
  output.say(`${rows.length} of ${total}`);
  for (const row of rows) output.emit({ event: 'trace', ...row });
  output.emit({ event: 'done', total, listed: rows.length });
  return 0;
}

/** A trace at a time, so that a hundred thousand of them need the memory of a page. */
async function exportAll(
  controller: ControllerApi,
  output: Output,
  run: string,
  filter: TraceFilter,
  file: string,
): Promise<number> {
  const opened = await open(file, 'w').catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`Cannot write ${file}: ${error.message}; name a file in a folder there is`);
  });
  const sink = file.endsWith('.parquet') ? parquetSink(file) : lineSink(opened);
  let written = 0;
  try {
    for (;;) {
      const { total, rows } = await controller.traces(run, { ...filter, offset: written, limit: PAGE });
      for (const { id } of rows) {
        await sink.put(await controller.trace(run, id));
        written += 1;
        output.progress(`${written} of ${total}`, false);
      }
      if (rows.length === 0 || written >= total) break;
    }
    sink.finish();
  } finally {
    await opened.close();
  }
  output.say(`${written} traces in ${file}`);
  output.emit({ event: 'done', exported: written, file });
  return 0;
}

type Sink = { put(trace: Trace): unknown; finish(): void };

function lineSink(file: FileHandle): Sink {
  return { put: (trace) => file.write(`${JSON.stringify(trace)}\n`), finish: () => {} };
}

/** Traces of a page together are a row group. */
function parquetSink(file: string): Sink {
  const table = openTable(fileWriter(file));
  const held: Trace[] = [];
  const flush = (): void => table.add(held.splice(0));
  return {
    put: (trace) => {
      held.push(trace);
      if (held.length >= PAGE) flush();
    },
    finish: () => {
      flush();
      table.finish();
    },
  };
}
