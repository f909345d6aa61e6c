/** `troupe models`: what is here, what fits, adding, chatting, exporting. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { Cancelled, UserError } from '../engine/errors.ts';
import { filesAt } from '../engine/formats/folder.node.ts';
import type { ChatMessage, ModelInfo } from '../engine/protocol.ts';
import type { Download } from '../workflows/protocol.ts';
import { bar, duration, megabytes, table } from './output.ts';
import { runAt } from './place.ts';
import { withSession, type Common } from './session.ts';

export function addModels(program: Command): void {
  const models = program.command('models').description('list, add, download, inspect, chat with and export models');
  const common = (command: Command) =>
    command
      .option('--device <kind>', 'auto, webgpu, wasm or cpu', 'auto')
      .option('--workspace <folder>', 'workspace')
      .option('--json', 'one JSON object a line');
  common(models.command('list').description('the bundled model and those in the workspace')).action(list);
  common(
    models
      .command('add')
      .description('copy a model into the workspace')
      .argument('<path>', 'Hugging Face folder or .gguf file')
      .option('--name <name>', 'name to keep it under'),
  ).action(add);
  common(
    models
      .command('download')
      .description('fetch a model into the workspace; one that was interrupted goes on')
      .argument('<model>', 'owner/name or owner/name/file.gguf, with @revision where wanted')
      .option('--name <name>', 'name to keep it under')
      .option('--endpoint <address>', 'Hugging Face-compatible endpoint (HF_ENDPOINT, else https://huggingface.co)'),
  ).action(download);
  common(
    models
      .command('inspect')
      .description('what a model is and the memory it needs')
      .argument('<model>', 'name, folder or .gguf file'),
  ).action(inspect);
  common(
    models
      .command('chat')
      .description('talk to a model')
      .argument('<model>', 'name, folder or .gguf file')
      .option('--say <text>', 'say this once and leave'),
  ).action(chat);
  common(
    models
      .command('export')
      .description('write what a run learned, for other programs')
      .argument('<run>', 'run id or folder, or RUN@STEP for one of its checkpoints')
      .requiredOption('--to <folder>', 'folder to write')
      .option('--policy <name>', 'policy of the run')
      .option('--as <what>', 'peft or merged', 'peft'),
  ).action(exportRun);
}

function row(name: string, info: ModelInfo): (string | number)[] {
  const millions = `${(info.parameters / 1e6).toFixed(1)}M`;
  return [
    name,
    info.architecture,
    millions,
    info.weightTypes.join(' '),
    info.contextLength,
    megabytes(info.bytesOnDisk),
    megabytes(info.memory.run),
    megabytes(info.memory.trainLora),
    megabytes(info.memory.trainFull),
  ];
}

const heading = [
  'model',
  'kind',
  'parameters',
  'weights',
  'context',
  'on disk',
  'to run',
  'to train LoRA',
  'to train whole',
];

async function list(options: Common): Promise<void> {
  await withSession(options, {}, async ({ controller, output }) => {
    const entries = await controller.models();
    output.say(table([heading, ...entries.flatMap(({ name, info }) => (info ? [row(name, info)] : []))]));
    for (const { name, problem } of entries)
      if (problem !== undefined) output.say(`${name} cannot be used: ${problem}`);
    for (const entry of entries) output.emit({ event: 'model', ...entry });
    return 0;
  });
}

async function add(named: string, options: Common & { name?: string }): Promise<void> {
  await withSession(options, {}, async ({ controller, output }) => {
    const name = options.name ?? path.basename(path.resolve(named)).replace(/\.gguf$/i, '');
    const entry = await controller.addModel(name, await filesAt(named));
    output.say(`added ${entry.name}\n${table([heading, row(entry.name, entry.info!)])}`);
    output.emit({ event: 'done', model: entry });
    return 0;
  });
}

type DownloadOptions = Common & { name?: string; endpoint?: string };

async function download(repo: string, options: DownloadOptions): Promise<void> {
  let hear = (_download: Download): void => {};
  await withSession(options, { onDownload: (download) => hear(download) }, async ({ controller, output }) => {
    const { name, endpoint } = options;
    const left = (await controller.downloads())?.find((one) => (name ? one.name === name : one.repo === repo));
    const request = { repo, ...(name ? { name } : {}), ...(endpoint ? { endpoint } : {}) };
    let lines = 0;
    const ended = new Promise<Download>((settle) => {
      hear = (moved) => {
        output.emit({ event: 'download', ...moved });
        output.progress(progressOf(moved), lines++ % 40 === 0);
        if (moved.state === 'done' || moved.state === 'failed' || moved.state === 'paused') settle(moved);
      };
    });
    const begun = left ? await controller.resumeDownload(left.name) : await controller.download(request);
    const interrupt = (): void => void controller.pauseDownload(begun.name);
    process.once('SIGINT', interrupt);
    const end = await ended;
    process.off('SIGINT', interrupt);
    if (end.state === 'paused') throw new Cancelled('The download (what has come is kept; the same command goes on)');
    if (end.state === 'failed') throw new UserError(end.note ?? 'The download failed');
    const info = await controller.inspectModel(begun.name);
    output.say(`added ${begun.name}\n${table([heading, row(begun.name, info)])}`);
    output.emit({ event: 'done', model: { name: begun.name, bundled: false, info } });
    return 0;
  });
}

function progressOf({ name, state, doneBytes, totalBytes, bytesPerSecond, etaMs, note }: Download): string {
  const rate = bytesPerSecond > 0 ? `${megabytes(bytesPerSecond)}/s` : '';
  const left = etaMs === null || etaMs === 0 ? '' : `${duration(etaMs)} left`;
  const sizes =
    totalBytes > 0 ? `${bar(doneBytes, totalBytes)} ${megabytes(doneBytes)} of ${megabytes(totalBytes)}` : '';
  return [name, sizes, state === 'running' ? '' : state, rate, left, note ?? ''].filter(Boolean).join('  ');
}

async function inspect(named: string, options: Common): Promise<void> {
  await withSession(options, {}, async ({ controller, output }) => {
    const info = await controller.inspectModel(named);
    output.say(table([heading, row(named, info)]));
    output.say(
      `${info.layers} layers, width ${info.hidden}, ${info.heads} heads (${info.kvHeads} for keys and values), vocabulary ${info.vocab}, chat template ${info.chatTemplate ? 'yes' : 'no'}`,
    );
    output.emit({ event: 'done', ...info });
    return 0;
  });
}

async function chat(named: string, options: Common & { say?: string }): Promise<void> {
  let print = (_text: string): void => {};
  await withSession(options, { onText: ({ text }) => print(text) }, async ({ controller, output }) => {
    const messages: ChatMessage[] = [];
    const turn = async (text: string): Promise<void> => {
      messages.push({ role: 'user', content: text });
      if (!output.json) print = (piece) => process.stdout.write(piece);
      const { text: answer, tokens, ms } = await controller.chat(named, messages, `turn ${messages.length}`);
      messages.push({ role: 'assistant', content: answer });
      output.say(`\n(${tokens} tokens, ${((tokens / ms) * 1_000).toFixed(1)} a second)`);
      output.emit({ event: 'done', text: answer, tokens, ms });
    };
    if (options.say !== undefined) await turn(options.say);
    else {
      const reader = createInterface({ input: process.stdin, output: process.stderr, prompt: '> ' });
      reader.prompt();
      for await (const line of reader) {
        if (line.trim() !== '') await turn(line);
        reader.prompt();
      }
    }
    return 0;
  });
}

async function exportRun(named: string, options: Common & { to: string; policy?: string; as: string }): Promise<void> {
  await withSession(
    options,
    {},
    async ({ controller, output }) => {
      const [run, at] = runAt(named).run.split('@');
      if (options.as !== 'peft' && options.as !== 'merged')
        throw new UserError(`Cannot export as ${options.as}; use peft or merged`);
      const { config } = await controller.run(run);
      const policies = options.policy === undefined ? Object.keys(config.cast.policies) : [options.policy];
      for (const policy of policies) {
        const folder = policies.length === 1 ? options.to : path.join(options.to, policy);
        await mkdir(folder, { recursive: true });
        for (const file of await controller.exportPolicy(
          run,
          policy,
          options.as,
          at === undefined ? undefined : Number(at),
        ))
          await writeFile(path.join(folder, file.name), file.bytes);
        output.say(`${policy} written to ${folder}`);
        output.emit({ event: 'exported', policy, folder });
      }
      output.emit({ event: 'done', run });
      return 0;
    },
    () => runAt(named, options.workspace).workspace,
  );
}
