/** `troupe sft`: supervised fine-tuning of one model on examples, written as a model folder or an adapter. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import type { ExampleSource } from '../workflows/controller/fine-tune.ts';
import { readUserFile, runAt, workspaceFolder } from './place.ts';
import { bar, duration, fixed } from './output.ts';
import { withSession, type Common } from './session.ts';
import { whole } from './request.ts';

type SftOptions = Common & {
  data?: string;
  run?: string;
  minScore: number;
  best: number;
  keepIllegal?: boolean;
  model: string;
  method: 'full' | 'lora';
  rank: number;
  steps: number;
  batch: number;
  lr?: number;
  seed: number;
  to: string;
};

export function addSft(program: Command): void {
  program
    .command('sft')
    .description('fine-tune a model on examples, or on what a run did well')
    .option('--data <file>', 'JSONL file of {messages or prompt, response, role?}')
    .option('--run <id>', 'take the legal outputs of this run’s (id or folder) successful traces instead')
    .option('--min-score <score>', 'score (of the task) from which a trace counts as successful', Number, 1)
    .option('--best <n>', 'traces of each question that are taken at most; 0 takes all', whole, 0)
    .option('--keep-illegal', 'take illegal outputs too')
    .requiredOption('--to <folder>', 'folder for the adapter or the merged model')
    .option('--model <name>', 'model, or a folder or .gguf file', 'nano')
    .option('--method <kind>', 'full or lora', 'full')
    .option('--rank <n>', 'LoRA rank', whole, 16)
    .option('--steps <n>', 'optimiser steps', whole, 100)
    .option('--batch <n>', 'examples a step', whole, 32)
    .option('--lr <rate>', 'learning rate', Number)
    .option('--seed <n>', 'seed of the order', whole, 0)
    .option('--device <kind>', 'auto, webgpu, wasm or cpu', 'auto')
    .option('--workspace <folder>', 'workspace')
    .option('--json', 'one JSON object a line')
    .action(sft);
}

async function sft(options: SftOptions): Promise<void> {
  await withSession(
    options,
    {},
    async ({ controller, output }) => {
      if (options.method !== 'full' && options.method !== 'lora')
        throw new UserError(`No such method: ${String(options.method)}; use full or lora`);
      const { model, method, rank, steps, batch, seed, lr } = options;
      const examples = await examplesOf(options);
      const started = performance.now();
      const result = await controller.fineTune(
        {
          model,
          method:
            method === 'full'
              ? { kind: 'full' }
              : {
                  kind: 'lora',
                  rank,
                  alpha: 2 * rank,
                  targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
                },
          examples,
          steps,
          batch,
          seed,
          ...(lr === undefined ? {} : { lr }),
        },
        (step, report) => {
          const left = ((performance.now() - started) / step) * (steps - step);
          output.emit({ event: 'step', step, loss: report.loss, roles: report.roles, timing: { leftMs: left } });
          output.progress(
            `${bar(step, steps)} step ${step} of ${steps} · loss ${fixed(report.loss)} · ${duration(left)} left`,
            step === 1 || step % 10 === 0 || step === steps,
          );
        },
      );
      await mkdir(options.to, { recursive: true });
      for (const file of result.files) await writeFile(path.join(options.to, file.name), file.bytes);
      output.say(`loss ${fixed(result.first)} → ${fixed(result.last)}; written to ${options.to}`);
      output.emit({
        event: 'done',
        to: options.to,
        steps,
        seconds: (performance.now() - started) / 1_000,
        before: { loss: result.first },
        after: { loss: result.last },
      });
      return 0;
    },
    () =>
      options.run === undefined ? workspaceFolder(options.workspace) : runAt(options.run, options.workspace).workspace,
  );
}

async function examplesOf({ data, run, minScore, best, keepIllegal }: SftOptions): Promise<ExampleSource> {
  if ((data === undefined) === (run === undefined)) throw new UserError('Name either --data or --run');
  if (!(minScore >= 0 && minScore <= 1)) throw new UserError(`--min-score must be from 0 to 1, and is ${minScore}`);
  if (run === undefined) return { lines: await readUserFile(data!) };
  const filter = { minScore, best, legal: keepIllegal !== true, dedupe: true, consistency: 'both' } as const;
  return { run: runAt(run).run, filter };
}
