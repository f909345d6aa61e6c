/**
 * Examples for supervised fine-tuning: JSON lines of {messages | prompt, response, role?}, checked with line numbers, or
 * what the roles of a run said in its successful traces (role-wise fine-tuning, as in SWE-Dev).
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { SftExample } from '../../engine/protocol.ts';
import { textOf } from '../workspace/layout.ts';
import type { Store } from '../workspace/store.ts';
import { readThinTraces, traceSteps } from '../workspace/traces.ts';

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

/** Legal outputs of the sampled traces that scored at least `minScore` (F1), each text for each prompt once. */
export async function examplesOfRun(store: Store, run: string, minScore: number): Promise<SftExample[]> {
  const examples = new Map<string, SftExample>();
  for (const step of await traceSteps(store, run)) {
    for (const trace of await readThinTraces(store, run, step)) {
      if (trace.phase !== 'train' || trace.status !== 'done' || (trace.score.f1 ?? 0) < minScore) continue;
      for (const { prompt, text, role, legal, finish } of trace.records) {
        if (!prompt || text === undefined || role === undefined || legal !== true || finish === 'length') continue;
        examples.set(JSON.stringify([prompt, text]), { prompt: { messages: prompt }, response: text, role });
      }
    }
  }
  if (examples.size === 0)
    throw new UserError(
      `Run ${run} has no legal output in a trace of F1 ${minScore} or more; lower the bound or train longer`,
    );
  return [...examples.values()];
}
