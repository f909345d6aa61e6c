/**
 * The tasks there are: those that ship with Troupe, by name, and any JSON-lines file, by path.
 */
import { UserError } from '../../engine/errors.ts';
import type { TaskSummary } from '../protocol.ts';
import { unpacked } from './gzip.ts';
import { questionTask } from './hotpot.ts';
import type { BundledTask, Task, TaskOptions } from './task.ts';
import { villageCode } from './village-code.ts';
import { villageQa } from './village-qa.ts';

const bundled: readonly BundledTask[] = [villageQa, villageCode];

export type TaskRequest = {
  /** A bundled task's name, or the path of a .jsonl or .json file, which may be packed (.gz). */
  name: string;
  /** The path of a corpus file, for a file of questions. */
  corpus?: string;
  options?: TaskOptions;
  /** Reads a file a person named; absent where files cannot be read. */
  read?: (path: string) => Promise<Uint8Array>;
};

/** A task by name or path. Throws a UserError for what is neither, and for files that are not what they should be. */
export async function loadTask(request: TaskRequest): Promise<Task> {
  const found = bundled.find((task) => task.name === request.name);
  if (found !== undefined) {
    if (request.corpus !== undefined)
      throw new UserError(`${found.name} brings its own corpus; leave the corpus out: ${request.corpus}`);
    return found.build(request.options ?? {});
  }
  const { read, corpus } = request;
  if (read === undefined || !/\.(jsonl|ndjson|json)(\.gz)?$/i.test(request.name)) {
    throw new UserError(
      `There is no task of this name: ${request.name}; use ${bundled.map((task) => task.name).join(', ')} or the path of a .jsonl file of questions`,
    );
  }
  const questions = await unpacked(await read(request.name), request.name);
  return questionTask({
    name: baseName(request.name),
    questions,
    questionsName: request.name,
    ...(corpus === undefined ? {} : { corpus: await unpacked(await read(corpus), corpus), corpusName: corpus }),
    options: request.options ?? {},
  });
}

/** The bundled tasks as a screen lists them. */
export function taskSummaries(): TaskSummary[] {
  return bundled.map((task) => {
    const { train, heldOut } = task.build({});
    return {
      name: task.name,
      title: task.title,
      description: task.description,
      train: train.length,
      heldOut: heldOut.length,
      examples: heldOut.slice(0, 3).map((query) => query.question),
    };
  });
}

function baseName(path: string): string {
  return path
    .split(/[\\/]/)
    .pop()!
    .replace(/\.gz$/i, '')
    .replace(/\.[a-z]+$/i, '');
}
