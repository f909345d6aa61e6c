/**
 * Examples for supervised fine-tuning: JSON lines of {messages | prompt, response, role?}, checked with line numbers, or
 * what the roles of a run said in its successful traces (role-wise fine-tuning, as in SWE-Dev).
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { SftExample } from '../../engine/protocol.ts';
import type { Trace } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';
import { textOf } from '../workspace/layout.ts';
import type { Store } from '../workspace/store.ts';
import { traceSteps } from '../workspace/trace-index.ts';
import { readThinTraces } from '../workspace/traces.ts';
import { selectOutputs, type Filter } from './select.ts';

const message = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });
const exampleSchema = z.union([
  z.object({ messages: z.array(message).min(1), response: z.string(), role: z.string().default('example') }),
  z.object({ prompt: z.string(), response: z.string(), role: z.string().default('example') }),
]);

export function parseExamples(bytes: Uint8Array): SftExample[] {
  const examples = textOf(bytes)
    .split('\n')
    .flatMap((line, i) => (line.trim() === '' ? [] : [parseLine(line, i + 1)]));
  if (examples.length === 0) throw new UserError('The file holds no examples; write one JSON object a line');
  return examples;
}

function parseLine(line: string, number: number): SftExample {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new UserError(`Line ${number} is not JSON: ${line.slice(0, 60)}`);
  }
  const parsed = exampleSchema.safeParse(value);
  if (!parsed.success)
    throw new UserError(`Line ${number} is not an example: it needs messages (or prompt) and response`);
  const { response, role } = parsed.data;
  return {
    prompt: 'messages' in parsed.data ? { messages: parsed.data.messages } : { text: parsed.data.prompt },
    response,
    role,
  };
}

/** What the sampled traces of all steps did well: legal outputs of traces that scored at least `minScore`, each text for each prompt once. */
export async function examplesOfRun(
  store: Store,
  run: string,
  roles: Workflow['roles'],
  filter: Filter,
): Promise<SftExample[]> {
  const traces: Trace[] = [];
  for (const step of await traceSteps(store, run)) traces.push(...(await readThinTraces(store, run, step)));
  const selected = selectOutputs(traces, roles, filter);
  if (selected.length === 0)
    throw new UserError(
      `Run ${run} has no output to learn from in a trace that scored ${filter.minScore} or more; lower the bound or train longer`,
    );
  // Policies differ in a run and are one model here.
  const once = new Map(selected.map(({ example }) => [JSON.stringify([example.prompt, example.response]), example]));
  return [...once.values()];
}
