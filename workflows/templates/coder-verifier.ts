/**
 * Coder–Verifier (CURE, arXiv 2506.03136): a coder writes four programs and a verifier four tests, at once; every program
 * runs every test, and the one that passes most is the answer. The execution matrix stays in the trace. The coder is rewarded
 * with the pass rates on the task's own tests, z-scored; each test with its sign and scale. `scheme: 'simple'` in the rules
 * gives R_C = R_GT + lambda R_Verifier and R_V = R_P - lambda Len instead.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { port, result, wires } from './parts.ts';
import { testsOf, testsQuestion } from './tests.ts';

const matrices = { matrix: { node: 'grid', port: 'passed' }, truth: { node: 'truth', port: 'passed' } } as const;

export const coderVerifier: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'coder-verifier',
  title: 'Coder–Verifier',
  description: 'Four programs meet four tests; the program that passes most of them is the answer.',
  roles: {
    coder: {
      title: 'Coder',
      description: 'Writes a program.',
      prompt: {
        system: 'Write the whole program that solves the problem, between <code> and </code>.',
        user: 'Problem: {{question}}',
      },
      parser: { kind: 'tags', tag: 'code', port: 'program', maxChars: 8_000 },
      sampling: { maxTokens: 384 },
    },
    verifier: {
      title: 'Verifier',
      description: 'Writes one test that right programs pass and wrong ones fail.',
      prompt: {
        system:
          'Write one test of a program that solves the problem, between <test> and </test>: code that runs after the program and throws where the program is wrong, for example <test>assert.equal(f(2), 4)</test>',
        user: 'Problem: {{question}}',
      },
      parser: { kind: 'tags', tag: 'test', port: 'test', maxChars: 2_000 },
      sampling: { maxTokens: 96 },
    },
  },
  nodes: [
    testsQuestion,
    testsOf,
    { id: 'code', kind: 'role', title: 'Code', role: 'coder', inputs: [port('question')], samples: 4 },
    { id: 'write-tests', kind: 'role', title: 'Write tests', role: 'verifier', inputs: [port('question')], samples: 4 },
    {
      id: 'grid',
      kind: 'tool',
      title: 'Programs by tests',
      tool: 'unit-tests',
      settings: { timeMs: 1_000 },
      each: ['program'],
    },
    {
      id: 'truth',
      kind: 'tool',
      title: 'Task’s tests',
      tool: 'unit-tests',
      settings: { timeMs: 1_000 },
      each: ['program'],
    },
    {
      id: 'choose',
      kind: 'compute',
      title: 'Best of all',
      inputs: [port('programs', 'list'), port('rates', 'json')],
      output: port('program'),
      expression: 'best(programs, rates)',
    },
    { id: 'check', kind: 'tool', title: 'Check', tool: 'unit-tests', settings: { timeMs: 1_000 } },
    {
      id: 'checked',
      kind: 'compute',
      title: 'Checked',
      inputs: [port('program'), port('rate', 'number')],
      output: port('answer'),
      expression: 'program',
    },
    result,
  ],
  edges: wires(
    'question.question > tests.question',
    'question.tests > tests.tests',
    'question.question > code.question',
    'question.question > write-tests.question',
    'code.program > grid.program',
    'write-tests.test > grid.tests',
    'code.program > truth.program',
    'tests.tests > truth.tests',
    'code.program > choose.programs',
    'grid.rate > choose.rates',
    'choose.program > check.program',
    'tests.tests > check.tests',
    'choose.program > checked.program',
    'check.rate > checked.rate',
    'checked.answer > result.answer',
  ),
  rewards: {
    rules: [
      { id: 'program', level: 'role', roles: ['coder'], value: { kind: 'cure', side: 'programs', ...matrices } },
      { id: 'test', level: 'role', roles: ['verifier'], value: { kind: 'cure', side: 'tests', ...matrices } },
    ],
  },
};
