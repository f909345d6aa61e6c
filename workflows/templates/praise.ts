/**
 * PRAISE (arXiv 2604.03675): a searcher collects passages for at most three turns; then every prefix state of that finished
 * trajectory (what had been found before, after one, after two … searches) elicits an answer, all in one batch. A search is
 * rewarded with the outcome and with the step it made, g(a_t) - g(a_{t-1}); the extra samples (s_t -> a_t) are records of
 * their own with reward g(a_t), g being F1. How the paper mixes the terms is not public: the weights here are all 1.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { answerFormat, outcome, port, question, result, search, wires } from './parts.ts';

/**
 * Both roles see a state in the same words and are told at the end what to say, so that an elicited answer goes on from the
 * keys and values that the search of that state computed, where the engine keeps them.
 */
const state = 'Passages:\n{{passages | lines}}\nQuestion: {{question}}\n';
const nextSearch = 'Next search as <q>…</q>, or <end> when the passages suffice:';
const shortAnswer = 'Short answer:';
const found =
  'Passages:\nTom Hale: Tom Hale is a Scottish painter born in Leith.\nQuestion: Where was the painter Tom Hale born?\n';
const shown = {
  system: 'Searches find the passages that answer a question. Say what is asked for at the end, and nothing else.',
  few: [
    {
      user: `Passages:\n\nQuestion: Where was the painter of The Grey Harbour born?\n${nextSearch}`,
      assistant: '<q>painter of The Grey Harbour</q>',
    },
    { user: `${found}${nextSearch}`, assistant: '<end>' },
    { user: `${found}${shortAnswer}`, assistant: 'Leith' },
  ],
};

export const praise: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'praise',
  title: 'PRAISE',
  description:
    'A searcher collects passages; each state on the way elicits an answer that tells what the search was worth.',
  // Before any search there is a state too: nothing found.
  memory: { states: { type: 'json', initial: [[]] }, found: { type: 'passages' } },
  roles: {
    searcher: {
      title: 'Searcher',
      description: 'Writes the next search, or <end> when enough was found.',
      prompt: { ...shown, user: `${state}${nextSearch}` },
      parser: { kind: 'tags', tag: 'q', port: 'query', end: '<end>', maxChars: 300 },
      sampling: { maxTokens: 48 },
    },
    answerer: {
      title: 'Answerer',
      description: 'Answers with a short phrase from what one state knows.',
      prompt: { ...shown, user: `${state}${shortAnswer}` },
      ...answerFormat,
    },
  },
  nodes: [
    question,
    {
      id: 'nothing',
      kind: 'compute',
      title: 'Nothing found',
      inputs: [port('question')],
      output: port('passages', 'passages'),
      expression: '[]',
    },
    { id: 'turns', kind: 'loop', title: 'Turns', type: 'passages', limit: 3 },
    {
      id: 'search',
      kind: 'role',
      title: 'Search',
      role: 'searcher',
      inputs: [port('question'), port('passages', 'passages')],
    },
    {
      id: 'more',
      kind: 'router',
      title: 'More?',
      inputs: [port('query')],
      branches: [{ name: 'stop', when: 'query == ""' }],
      otherwise: 'go',
    },
    search('retrieve'),
    {
      id: 'extend',
      kind: 'compute',
      title: 'Extend',
      inputs: [port('before', 'passages'), port('found', 'passages')],
      output: port('passages', 'passages'),
      expression: 'before + found.filter(p, !before.exists(b, b == p))',
    },
    {
      id: 'keep',
      kind: 'memory',
      title: 'Keep',
      write: [
        { field: 'states', how: 'append' },
        { field: 'found', how: 'replace' },
      ],
    },
    { id: 'prefixes', kind: 'memory', title: 'Prefix states', read: ['states'] },
    {
      id: 'elicit',
      kind: 'role',
      title: 'Elicit',
      role: 'answerer',
      inputs: [port('question'), port('passages', 'passages')],
      each: ['passages'],
    },
    {
      id: 'last',
      kind: 'compute',
      title: 'Last answer',
      inputs: [port('answers', 'list')],
      output: port('answer'),
      expression: 'answers[size(answers) - 1]',
    },
    result,
  ],
  edges: wires(
    'question.question > nothing.question',
    'nothing.passages > turns.in',
    'question.question > search.question',
    'turns.body > search.passages',
    'search.query > more.query',
    'more.go > retrieve.queries',
    'turns.body > extend.before',
    'retrieve.passages > extend.found',
    'extend.passages > keep.states',
    'extend.passages > keep.found',
    'keep.found > turns.again',
    'turns.done > prefixes.after',
    'more.stop > prefixes.after',
    'question.question > elicit.question',
    'prefixes.states > elicit.passages',
    'elicit.answer > last.answers',
    'last.answer > result.answer',
  ),
  rewards: {
    rules: [
      { ...outcome, roles: ['searcher'] },
      {
        id: 'step',
        level: 'turn',
        roles: ['searcher'],
        value: { kind: 'change', of: { node: 'elicit', port: 'answer' }, metric: 'f1' },
      },
      { id: 'prefix', level: 'role', roles: ['answerer'], value: { kind: 'own', metric: 'f1' } },
    ],
  },
};
