/**
 * Planner–Executor (after BrowseMaster, arXiv 2508.09129): a planner gives one task at a time or the answer; an executor
 * writes JavaScript against search functions (generate keywords, batch search, check) and what a wide search for that task
 * finds (`data`, a list of {title, text}) and prints a finding, which the planner reads in its next turn, at most three. Both share the outcome. The cast `executor` trains the executor alone.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { outcome, port, question, result, search, wires } from './parts.ts';

/** The model and the method chosen for the run. */
const chosen = { model: '*', method: { kind: 'full' } } as const;

export const plannerExecutor: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'planner-executor',
  title: 'Planner–Executor',
  description: 'A planner sets tasks, an executor does them by writing JavaScript over what a search finds.',
  memory: { findings: { type: 'list' } },
  roles: {
    planner: {
      title: 'Planner',
      description: 'Sets the next task, or answers.',
      prompt: {
        system:
          'Write the next thing to find out between <task> and </task>. When the findings suffice, write the short answer between <answer> and </answer> instead.',
        user: 'Question: {{question}}\nFindings:\n{{findings}}',
      },
      parser: {
        kind: 'fields',
        choose: 'one',
        fields: [
          { tag: 'task', port: 'task' },
          { tag: 'answer', port: 'answer' },
        ],
        maxChars: 300,
      },
      sampling: { maxTokens: 64 },
    },
    executor: {
      title: 'Executor',
      description: 'Writes a program that prints what the task asks for.',
      prompt: {
        system:
          'Write a JavaScript program between <code> and </code>. `data` is a list of passages {title, text} found for the task. batchSearch([queries], k) gives k passages for each query, generateKeywords(text, count) the telling words of a text, check(passage, condition) whether a passage speaks of it. Print with console.log what the task asks for, in a few words.',
        few: [
          {
            user: 'Task: the town where Tom Hale was born',
            assistant:
              "<code>const [found] = batchSearch(['Tom Hale born']);\nconst page = [...found, ...data].find((each) => check(each, 'Tom Hale born'));\nconsole.log(/born in (\\w+)/.exec(page.text)[1]);</code>",
          },
        ],
        user: 'Task: {{task}}',
      },
      parser: { kind: 'tags', tag: 'code', port: 'program', maxChars: 4_000 },
      sampling: { maxTokens: 256 },
    },
  },
  nodes: [
    question,
    { id: 'turns', kind: 'loop', title: 'Turns', type: 'text', limit: 3 },
    { id: 'recall', kind: 'memory', title: 'Recall', read: ['findings'] },
    { id: 'plan', kind: 'role', title: 'Plan', role: 'planner', inputs: [port('question'), port('findings', 'list')] },
    {
      id: 'known',
      kind: 'router',
      title: 'Answered?',
      inputs: [port('answer'), port('task')],
      branches: [{ name: 'answered', when: 'answer != ""' }],
      otherwise: 'open',
    },
    {
      id: 'task',
      kind: 'compute',
      title: 'Task',
      inputs: [port('task'), port('open')],
      output: port('task'),
      expression: 'task',
    },
    search('gather', { k: 10, words: 200, limit: 10 }),
    { id: 'execute', kind: 'role', title: 'Execute', role: 'executor', inputs: [port('task')] },
    { id: 'run', kind: 'tool', title: 'Run', tool: 'search-program', settings: { timeMs: 2_000, outputChars: 500 } },
    {
      id: 'finding',
      kind: 'compute',
      title: 'Finding',
      inputs: [port('output'), port('error')],
      output: port('findings', 'list'),
      expression: '[error == "" ? output : "The program failed: " + error]',
    },
    { id: 'keep', kind: 'memory', title: 'Keep', write: [{ field: 'findings', how: 'append' }] },
    {
      id: 'next',
      kind: 'compute',
      title: 'Newest finding',
      inputs: [port('findings', 'list')],
      output: port('finding'),
      expression: 'findings[size(findings) - 1]',
    },
    result,
  ],
  edges: wires(
    'question.question > turns.in',
    'turns.body > recall.after',
    'question.question > plan.question',
    'recall.findings > plan.findings',
    'plan.answer > known.answer',
    'plan.task > known.task',
    'plan.task > task.task',
    'known.open > task.open',
    'task.task > gather.queries',
    'task.task > execute.task',
    'execute.program > run.program',
    'gather.passages > run.data',
    'run.output > finding.output',
    'run.error > finding.error',
    'finding.findings > keep.findings',
    'keep.findings > next.findings',
    'next.finding > turns.again',
    'known.answered > result.answer',
    // Without an answer in time, the last finding is the best there is.
    'turns.done > result.answer',
  ),
  casts: {
    executor: {
      name: 'executor',
      policies: { planner: { ...chosen, frozen: true }, executor: chosen },
      roles: { planner: 'planner', executor: 'executor' },
    },
  },
  rewards: { rules: [outcome] },
};
