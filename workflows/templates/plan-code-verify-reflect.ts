/**
 * Plan → Code → Verify → Reflect (UnityMAS-O, arXiv 2605.26646): up to three turns of a plan, a program and its tests; a
 * reflector says between turns what went wrong; it ends when all tests pass. The prompts show at most three of the task's
 * example tests, the others stay hidden. Planner and coder are rewarded with the pass rate they reached, p_0, then with its
 * gain p_t - p_{t-1}; the reflector with the gain that followed, p_{t+1} - p_t.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { port, result, wires } from './parts.ts';
import { testsOf, testsQuestion, visibleOf } from './tests.ts';

const gain = { kind: 'change', of: { node: 'verify', port: 'rate' }, metric: 'value' } as const;

export const planCodeVerifyReflect: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'plan-code-verify-reflect',
  title: 'Plan–Code–Verify–Reflect',
  description: 'A planner, a coder and a reflector write a program in up to three turns, until all its tests pass.',
  memory: { program: { type: 'text' }, report: { type: 'text' }, rate: { type: 'number' } },
  roles: {
    planner: {
      title: 'Planner',
      description: 'Says in a few lines how the program should work.',
      prompt: {
        system: 'Say in a few lines of pseudocode how to solve the problem, between <pseudocode> and </pseudocode>.',
        user: 'Problem: {{question}}\nTests:\n{{visible | lines}}\nLast program:\n{{program}}\nReflection: {{reflection}}',
      },
      parser: { kind: 'tags', tag: 'pseudocode', port: 'plan', maxChars: 2_000 },
      sampling: { maxTokens: 192 },
    },
    coder: {
      title: 'Coder',
      description: 'Writes the program.',
      prompt: {
        system: 'Write the whole program that solves the problem, between <code> and </code>.',
        user: 'Problem: {{question}}\nTests:\n{{visible | lines}}\nPlan:\n{{plan}}',
      },
      parser: { kind: 'tags', tag: 'code', port: 'program', maxChars: 8_000 },
      sampling: { maxTokens: 384 },
    },
    reflector: {
      title: 'Reflector',
      description: 'Says why tests failed and what to change.',
      prompt: {
        system: 'Say why the tests failed and what to change, between <reflection> and </reflection>.',
        user: 'Problem: {{question}}\nProgram:\n{{program}}\nShare of tests passed: {{rate}}\n{{report}}',
      },
      parser: { kind: 'tags', tag: 'reflection', port: 'reflection', maxChars: 2_000 },
      sampling: { maxTokens: 128 },
    },
  },
  nodes: [
    testsQuestion,
    testsOf,
    visibleOf,
    {
      id: 'begin',
      kind: 'compute',
      title: 'Begin',
      inputs: [port('question')],
      output: port('rate', 'number'),
      expression: '-1',
    },
    { id: 'turns', kind: 'loop', title: 'Turns', type: 'number', limit: 3 },
    { id: 'recall', kind: 'memory', title: 'Recall', read: ['program', 'report'] },
    {
      id: 'again',
      kind: 'router',
      title: 'First turn?',
      inputs: [port('rate', 'number')],
      branches: [{ name: 'first', when: 'rate < 0.0' }],
      otherwise: 'failed',
    },
    {
      id: 'reflect',
      kind: 'role',
      title: 'Reflect',
      role: 'reflector',
      inputs: [port('question'), port('program'), port('report'), port('rate', 'number')],
    },
    {
      id: 'plan',
      kind: 'role',
      title: 'Plan',
      role: 'planner',
      inputs: [port('question'), port('visible', 'list'), port('program'), port('reflection', 'text', true)],
    },
    {
      id: 'code',
      kind: 'role',
      title: 'Code',
      role: 'coder',
      inputs: [port('question'), port('visible', 'list'), port('plan')],
    },
    { id: 'verify', kind: 'tool', title: 'Verify', tool: 'unit-tests', settings: { timeMs: 1_000 } },
    {
      id: 'keep',
      kind: 'memory',
      title: 'Keep',
      write: [
        { field: 'program', how: 'replace' },
        { field: 'report', how: 'replace' },
        { field: 'rate', how: 'replace' },
      ],
    },
    {
      id: 'passed',
      kind: 'router',
      title: 'All passed?',
      inputs: [port('rate', 'number')],
      branches: [{ name: 'all', when: 'rate >= 1.0' }],
      otherwise: 'some',
    },
    { id: 'last', kind: 'memory', title: 'Last program', read: ['program'] },
    result,
  ],
  edges: wires(
    'question.question > tests.question',
    'question.tests > tests.tests',
    'question.question > visible.question',
    'question.example_tests > visible.examples',
    'question.question > begin.question',
    'begin.rate > turns.in',
    'turns.body > recall.after',
    'turns.body > again.rate',
    'again.failed > reflect.rate',
    'question.question > reflect.question',
    'recall.program > reflect.program',
    'recall.report > reflect.report',
    'question.question > plan.question',
    'visible.visible > plan.visible',
    'recall.program > plan.program',
    'reflect.reflection > plan.reflection',
    'question.question > code.question',
    'visible.visible > code.visible',
    'plan.plan > code.plan',
    'code.program > verify.program',
    'tests.tests > verify.tests',
    'code.program > keep.program',
    'verify.report > keep.report',
    'verify.rate > keep.rate',
    'keep.rate > passed.rate',
    'passed.some > turns.again',
    'passed.all > last.after',
    'turns.done > last.after',
    'last.program > result.answer',
  ),
  rewards: {
    rules: [
      { id: 'gain', level: 'turn', roles: ['planner', 'coder'], value: gain },
      { id: 'reflection', level: 'turn', roles: ['reflector'], value: gain },
    ],
  },
};
