/**
 * Chat templates: the model's own Jinja program that turns messages into the text it was trained on. A template comes from
 * a stranger's file, so it runs in an interpreter that counts its steps and bounds what it may build; a template that
 * refuses the messages, or runs away, ends in a UserError.
 */
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { UserError } from '../errors.ts';
import type { ChatMessage } from '../protocol.ts';
import { show } from './json.ts';

/** Renders messages; `addGenerationPrompt` opens the assistant's turn at the end. */
export type ChatTemplate = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string;

const SOURCE_MAX_CHARS = 200_000;
const OUTPUT_MAX_CHARS = 8_000_000;
const STEPS_MAX = 20_000_000;
const TIME_MAX_MS = 2_000;
const RANGE_MAX = 100_000;

type Evaluate = Interpreter['evaluate'];

/** Charges each evaluated node for itself and for the size of what it made, so that loops and growing values end early. */
class BoundedInterpreter extends Interpreter {
  #steps = 0;
  #checked = 0;
  readonly #deadline = Date.now() + TIME_MAX_MS;

  override evaluate(...[statement, environment]: Parameters<Evaluate>): ReturnType<Evaluate> {
    this.#charge(1);
    const made = super.evaluate(statement, environment);
    const value: unknown = made.value;
    if (typeof value === 'string') this.#charge(size(value) >> 6);
    else if (Array.isArray(value)) this.#charge(4 * size(value));
    return made;
  }

  #charge(steps: number): void {
    this.#steps += steps;
    const late = this.#steps - this.#checked > 4096 && Date.now() > this.#deadline;
    if (this.#steps - this.#checked > 4096) this.#checked = this.#steps;
    if (late || this.#steps > STEPS_MAX)
      throw new UserError('The chat template does not come to an end; the model file is damaged or hostile');
  }
}

function size(value: string | readonly unknown[]): number {
  if (value.length > OUTPUT_MAX_CHARS) throw tooLong();
  return value.length;
}

function tooLong(): UserError {
  return new UserError(`The chat template made more than ${OUTPUT_MAX_CHARS} characters; shorten the messages`);
}

/** Parses a template once. `tokens` are the special tokens' texts a template may name (bos_token, eos_token …). */
export function compileChatTemplate(source: string, tokens: Readonly<Record<string, string>>): ChatTemplate {
  if (source.length > SOURCE_MAX_CHARS)
    throw new UserError(
      `The chat template is ${source.length} characters long, at most ${SOURCE_MAX_CHARS} are read; the model file is damaged`,
    );
  const program = parseTemplate(source);
  return (messages, addGenerationPrompt) => {
    const environment = new Environment();
    const given = {
      ...tokens,
      messages: messages.map(({ role, content }) => ({ role, content })),
      add_generation_prompt: addGenerationPrompt,
    };
    for (const [name, value] of Object.entries({ ...globals(source), ...given })) environment.set(name, value);
    return run(() => String(new BoundedInterpreter(environment).run(program).value));
  };
}

function parseTemplate(source: string): ReturnType<typeof parse> {
  try {
    return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  } catch (error) {
    throw new UserError(
      `The model's chat template cannot be read: ${show((error as Error).message)}; give prompts as plain text`,
    );
  }
}

function run(render: () => string): string {
  try {
    const text = render();
    if (text.length > OUTPUT_MAX_CHARS) throw tooLong();
    return text;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `The model's chat template refused the messages: ${show((error as Error).message)}; change their roles or order, or give the prompt as plain text`,
    );
  }
}

function globals(source: string): Record<string, unknown> {
  const base = {
    ...{ true: true, false: false, none: null, True: true, False: false, None: null },
    raise_exception: (message: unknown) => {
      throw new Error(String(message));
    },
    range: boundedRange,
  };
  // Today's date in a prompt would make yesterday's run unrepeatable: templates that can do without it are not given it.
  return /strftime_now\s+is\s+(not\s+)?defined/.test(source)
    ? base
    : { ...base, strftime_now: (format: unknown) => formatDate(new Date(), String(format)) };
}

function boundedRange(first: number, stop?: number, step = 1): number[] {
  const [start, end] = stop === undefined ? [0, first] : [first, stop];
  const length = step === 0 ? NaN : Math.max(0, Math.ceil((end - start) / step));
  if (!(length <= RANGE_MAX))
    throw new UserError(
      `The chat template counts to ${length}, at most ${RANGE_MAX} is allowed; the model file is damaged or hostile`,
    );
  return Array.from({ length }, (_, i) => start + i * step);
}

function formatDate(date: Date, format: string): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const named = (options: Intl.DateTimeFormatOptions) => date.toLocaleDateString('en-US', options);
  const fields: Record<string, string> = {
    ...{
      Y: String(date.getFullYear()),
      m: two(date.getMonth() + 1),
      d: two(date.getDate()),
      H: two(date.getHours()),
      M: two(date.getMinutes()),
      S: two(date.getSeconds()),
    },
    ...{
      B: named({ month: 'long' }),
      b: named({ month: 'short' }),
      A: named({ weekday: 'long' }),
      a: named({ weekday: 'short' }),
      '%': '%',
    },
  };
  return format.replace(/%(.)/g, (all, letter: string) => fields[letter] ?? all);
}
