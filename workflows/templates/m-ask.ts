/**
 * M-ASK (arXiv 2601.04703; the flow of its public code): a planner writes question–answer steps and a first answer; then up to
 * three turns of search, summary, update of the steps and a new answer, until the searcher says <end>. Each role is rewarded
 * with what it changed: the planner and the answerer with the F1 of their own answers, the others with its gain.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { answerFormat, port, question, result, search, wires } from './parts.ts';

const gain = { kind: 'change', of: { role: 'answerer', port: 'answer' }, metric: 'f1' } as const;

export const mAsk: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'm-ask',
  title: 'M-ASK',
  description: 'A planner begins a list of question–answer steps; search, summary and update improve it turn by turn.',
  memory: { steps: { type: 'steps' }, answer: { type: 'text' } },
  roles: {
    planner: {
      title: 'Planner',
      description: 'Splits the question into steps and guesses their answers and the whole answer.',
      prompt: {
        system:
          'Split the question into at most five sub-questions and answer each as well as you can; say unknown where you cannot. Write <q1>…</q1><a1>…</a1><q2>…</q2><a2>…</a2> and so on, then <final_answer>…</final_answer>, and nothing else.',
        user: 'Question: {{question}}',
      },
      parser: { kind: 'steps', port: 'steps', answer: 'answer', max: 5, maxChars: 300 },
      sampling: { maxTokens: 160 },
    },
    searcher: {
      title: 'Searcher',
      description: 'Writes the next search, or <end> when the steps suffice.',
      prompt: {
        system:
          'Write the next search between <search> and </search>. When the steps already answer the question, write only <end>.',
        user: 'Question: {{question}}\nSteps:\n{{steps}}\nAnswer so far: {{answer}}',
      },
      parser: { kind: 'tags', tag: 'search', port: 'query', end: '<end>', maxChars: 300 },
      sampling: { maxTokens: 48 },
    },
    summariser: {
      title: 'Summariser',
      description: 'Says what the passages found tell of the search.',
      prompt: {
        system:
          'Say what the passages tell of the search in at most 75 words between <evidence> and </evidence>, or say: No useful information',
        user: 'Question: {{question}}\nSearch: {{query}}\nPassages:\n{{passages | lines}}',
      },
      parser: { kind: 'tags', tag: 'evidence', port: 'summary', end: 'No useful information', maxChars: 600 },
      sampling: { maxTokens: 96 },
    },
    updater: {
      title: 'Updater',
      description: 'Says whether the finding is a new step or replaces one.',
      prompt: {
        system:
          'The finding may replace a step or be a new one. Write <update>t2</update> to replace step 2 (t1 is the first), or <add>t3</add> to add it as step 3, and nothing else.',
        user: 'Question: {{question}}\nSteps:\n{{steps}}\nSearch: {{query}}\nFinding: {{evidence}}',
      },
      parser: {
        kind: 'fields',
        choose: 'one',
        fields: [
          { tag: 'add', port: 'add' },
          { tag: 'update', port: 'update' },
        ],
        maxChars: 20,
      },
      sampling: { maxTokens: 16 },
    },
    answerer: {
      title: 'Answerer',
      description: 'Answers with a short phrase from the steps.',
      prompt: {
        system: 'Answer with a short phrase, from the steps.',
        user: 'Steps:\n{{steps}}\nQuestion: {{question}}\nShort answer:',
      },
      ...answerFormat,
    },
  },
  nodes: [
    question,
    { id: 'plan', kind: 'role', title: 'Plan', role: 'planner', inputs: [port('question')] },
    { id: 'begin', kind: 'memory', title: 'Begin', write: [{ field: 'steps', how: 'replace' }] },
    {
      id: 'first-answer',
      kind: 'role',
      title: 'First answer',
      role: 'answerer',
      inputs: [port('question'), port('steps', 'steps')],
    },
    { id: 'note', kind: 'memory', title: 'Note', write: [{ field: 'answer', how: 'replace' }], read: ['steps'] },
    { id: 'turns', kind: 'loop', title: 'Turns', type: 'steps', limit: 3 },
    { id: 'recall', kind: 'memory', title: 'Recall', read: ['steps', 'answer'] },
    {
      id: 'search',
      kind: 'role',
      title: 'Search',
      role: 'searcher',
      inputs: [port('question'), port('steps', 'steps'), port('answer')],
    },
    {
      id: 'more',
      kind: 'router',
      title: 'More?',
      inputs: [port('query')],
      branches: [{ name: 'stop', when: 'query == ""' }],
      otherwise: 'go',
    },
    search('retrieve', { k: 5, words: 50, limit: 5 }),
    {
      id: 'summarise',
      kind: 'role',
      title: 'Summarise',
      role: 'summariser',
      inputs: [port('question'), port('query'), port('passages', 'passages')],
    },
    {
      id: 'update',
      kind: 'role',
      title: 'Update',
      role: 'updater',
      inputs: [port('question'), port('steps', 'steps'), port('query'), port('evidence')],
    },
    {
      id: 'apply',
      kind: 'compute',
      title: 'Apply',
      inputs: [port('steps', 'steps'), port('query'), port('evidence'), port('update')],
      output: port('steps', 'steps'),
      expression:
        'put(steps, update.matches("^t[1-9][0-9]?$") ? int(update.substring(1)) - 1 : size(steps), {"question": query, "answer": evidence})',
    },
    { id: 'remember', kind: 'memory', title: 'Remember', write: [{ field: 'steps', how: 'replace' }] },
    {
      id: 'answer',
      kind: 'role',
      title: 'Answer',
      role: 'answerer',
      inputs: [port('question'), port('steps', 'steps')],
    },
    { id: 'keep', kind: 'memory', title: 'Keep', write: [{ field: 'answer', how: 'replace' }], read: ['steps'] },
    { id: 'last', kind: 'memory', title: 'Last answer', read: ['answer'] },
    result,
  ],
  edges: wires(
    'question.question > plan.question',
    'plan.steps > begin.steps',
    'question.question > first-answer.question',
    'begin.steps > first-answer.steps',
    'first-answer.answer > note.answer',
    'note.steps > turns.in',
    'turns.body > recall.after',
    'question.question > search.question',
    'recall.steps > search.steps',
    'recall.answer > search.answer',
    'search.query > more.query',
    'more.go > retrieve.queries',
    'question.question > summarise.question',
    'more.go > summarise.query',
    'retrieve.passages > summarise.passages',
    'question.question > update.question',
    'recall.steps > update.steps',
    'more.go > update.query',
    'summarise.summary > update.evidence',
    'recall.steps > apply.steps',
    'more.go > apply.query',
    'summarise.summary > apply.evidence',
    'update.update > apply.update',
    'apply.steps > remember.steps',
    'question.question > answer.question',
    'remember.steps > answer.steps',
    'answer.answer > keep.answer',
    'keep.steps > turns.again',
    'turns.done > last.after',
    'more.stop > last.after',
    'last.answer > result.answer',
  ),
  rewards: {
    rules: [
      { id: 'plan', level: 'role', roles: ['planner'], value: { kind: 'own', metric: 'f1', port: 'answer' } },
      { id: 'answer', level: 'turn', roles: ['answerer'], value: { kind: 'own', metric: 'f1' } },
      { id: 'gain', level: 'turn', roles: ['searcher', 'summariser', 'updater'], value: gain },
    ],
  },
};
