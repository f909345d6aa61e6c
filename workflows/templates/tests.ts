/**
 * What code teams take from a task: its tests, one text or several, which the models never see, and at most three examples
 * of them, which they do. A task without tests gives empty lists.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { port } from './parts.ts';

type NodeInput = WorkflowInput['nodes'][number];

export const testsQuestion: NodeInput = {
  id: 'question',
  kind: 'input',
  title: 'Problem',
  outputs: [port('question'), port('tests', 'json', true), port('example_tests', 'json', true)],
};

/** Hidden tests beyond the eighth cost time and tell little. */
export const testsOf: NodeInput = {
  id: 'tests',
  kind: 'compute',
  title: 'Tests',
  inputs: [port('question'), port('tests', 'json', true)],
  output: port('tests', 'list'),
  expression: listed('tests', 8),
};

export const visibleOf: NodeInput = {
  id: 'visible',
  kind: 'compute',
  title: 'Visible tests',
  inputs: [port('question'), port('examples', 'json', true)],
  output: port('visible', 'list'),
  expression: listed('examples', 3),
};

/** CEL for the first `count` texts of a value that is a list, one text, empty or absent. */
function listed(name: string, count: number): string {
  const items = Array.from({ length: count }, (_, i) => `${name}[${i}]`).join(', ');
  return `${name} == null || ${name} == "" ? [] : type(${name}) == string ? [${name}] : size(${name}) > ${count} ? [${items}] : ${name}`;
}
