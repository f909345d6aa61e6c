/**
 * What templates share: short ways to write ports and edges, the two ends every team has, and the prompt for a short answer.
 */
import type { Port, WorkflowInput } from '../schema/workflow.ts';

type NodeInput = WorkflowInput['nodes'][number];
type EdgeInput = WorkflowInput['edges'][number];

export function port(name: string, type: Port['type'] = 'text', optional = false): Port {
  return { name, type, optional };
}

/** Edges as "from.port > to.port". */
export function wires(...lines: readonly string[]): EdgeInput[] {
  return lines.map((line) => {
    const [from, to] = line.split(' > ').map((end) => {
      const [node, name] = end.split('.');
      return { node, port: name };
    });
    return { from, to };
  });
}

export const question: NodeInput = {
  id: 'question',
  kind: 'input',
  title: 'Question',
  outputs: [port('question')],
};

export const result: NodeInput = { id: 'result', kind: 'output', title: 'Result', inputs: [port('answer')] };

/** The best passages for whole questions or searches, cut so that a small model's context holds them. */
export function search(id: string, settings = { k: 2, words: 50, limit: 2 }): NodeInput {
  return { id, kind: 'tool', title: 'Search', tool: 'bm25', settings };
}

/** How an answer is asked for; the worked example shows that it is short and comes from the passages. */
export const answerPrompt = {
  system: 'Answer with a short phrase taken from the passages.',
  few: [
    {
      user: 'Passages:\nTom Hale: Tom Hale is a Scottish painter born in Leith.\nQuestion: Where was the painter Tom Hale born?\nShort answer:',
      assistant: 'Leith',
    },
  ],
  user: 'Passages:\n{{passages | lines}}\nQuestion: {{question}}\nShort answer:',
};

/** An answer of a few words, the whole of what the model says. */
export const answerFormat = {
  parser: { kind: 'text', port: 'answer', maxChars: 200 },
  sampling: { maxTokens: 16 },
} as const;

/** The team's answer, scored by the task, given to every record. */
export const outcome = {
  id: 'outcome',
  level: 'trajectory',
  value: { kind: 'score', metric: 'f1' },
} as const;
