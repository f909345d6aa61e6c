/** What each team does with scripted outputs: its flow, the parents of its records, and rewards worked out by hand. */
import { describe, expect, it } from 'vitest';
import { recordOf, rewardsOf, runOne, scripted } from '../run/test-support.ts';
import type { Generate } from '../run/runner.ts';
import type { Query } from '../tasks/task.ts';
import { lint } from '../schema/lint.ts';
import { traceSchema, type Trace } from '../schema/trace.ts';
import { parseText } from '../run/parse.ts';
import { villageQa } from '../tasks/village-qa.ts';
import { templateNames, templateWorkflow } from './index.ts';
import { port, wires } from './parts.ts';

const corpus = [
  { title: 'Mira', text: 'keeps a blue dog.' },
  { title: 'Tom', text: 'keeps a red cat.' },
];
/** F1 of "dog", "blue" is 2/3, of "blue dog" 1, of "blue cat" and "red dog" 1/2, of "red" 0. */
const query: Query = { id: 'x', question: 'What does Mira keep?', answers: ['blue dog'] };

/** Each node says its texts one after the other. */
function saying(texts: Record<string, string[]>): { generate: Generate; calls: { nodes: string[] }[] } {
  const at: Record<string, number> = {};
  return scripted((node) => {
    const place = (at[node] = (at[node] ?? -1) + 1);
    const text = texts[node]?.[place];
    if (text === undefined) throw new Error(`nothing to say for ${node}, call ${place}`);
    return text;
  });
}

async function act(template: string, texts: Record<string, string[]>): Promise<{ trace: Trace; waves: string[][] }> {
  const { generate, calls } = saying(texts);
  const trace = await runOne(templateWorkflow(template), query, generate, { task: { corpus } });
  expect(trace.reason).toBeUndefined();
  expect(traceSchema.parse(JSON.parse(JSON.stringify(trace)))).toEqual(trace);
  return { trace, waves: calls.map((call) => call.nodes) };
}

const termsOf = (trace: Trace, id: string) =>
  Object.fromEntries(recordOf(trace, id).rewards.map(({ rule, terms }) => [rule, terms]));

describe('every template', () => {
  it.each(templateNames)('%s has nothing wrong, by itself and on village-qa', (name) => {
    expect(lint(templateWorkflow(name))).toEqual([]);
    const onVillage = templateWorkflow(name, villageQa.build({}).presets?.[name]);
    expect(lint(onVillage).filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('Single agent', () => {
  it('answers once from what a search with the whole question finds, for the outcome and its format', async () => {
    const { trace, waves } = await act('single-agent', { answer: ['blue'] });
    expect(waves).toEqual([['answer']]);
    expect(recordOf(trace, 'answer#0').parents).toEqual(['question#0', 'search#0']);
    expect(recordOf(trace, 'answer#0').inputs['passages']).toEqual([corpus[0]]);
    expect(termsOf(trace, 'answer#0')).toEqual({
      outcome: { f1: 2 / 3, weight: 1 },
      format: { format: 0, weight: 0.3 },
    });
    expect(rewardsOf(trace)).toEqual({ 'answer#0': 0.666667 });
    const empty = await act('single-agent', { answer: [''] });
    expect(rewardsOf(empty.trace)).toEqual({ 'answer#0': -0.3 });
  });
});

describe('QD-Answer', () => {
  it('searches for every part, reads what was found, and shares the outcome', async () => {
    const { trace, waves } = await act('qd-answer', { decompose: ['<q>Tom</q><q>Mira</q>'], answer: ['blue dog'] });
    expect(waves).toEqual([['decompose'], ['answer']]);
    expect(recordOf(trace, 'answer#0').parents).toEqual(['question#0', 'search#0']);
    expect(recordOf(trace, 'answer#0').inputs['passages']).toEqual([corpus[1], corpus[0]]);
    expect(rewardsOf(trace)).toEqual({ 'decompose#0': 1, 'answer#0': 1 });
    const illegal = await act('qd-answer', { decompose: ['Mira'], answer: ['dog'] });
    expect(rewardsOf(illegal.trace)).toEqual({ 'decompose#0': 0.366667, 'answer#0': 0.666667 });
    expect(termsOf(illegal.trace, 'decompose#0')).toEqual({
      outcome: { f1: 2 / 3, weight: 1 },
      format: { format: -1, weight: 0.3 },
    });
  });
});

describe('QD-Evidence-Answer', () => {
  it('takes evidence for every sub-question at once, and shares the outcome', async () => {
    const { trace, waves } = await act('qd-evidence-answer', {
      decompose: ['<q>Mira</q><q>Tom</q>'],
      extract: ['<evidence>a blue dog</evidence>', 'nothing'],
      answer: ['blue'],
    });
    expect(waves).toEqual([['decompose'], ['extract', 'extract'], ['answer']]);
    expect(recordOf(trace, 'extract#0.1').inputs).toMatchObject({ subquestion: 'Tom', passages: [corpus[1]] });
    expect(recordOf(trace, 'answer#0').parents).toEqual(['question#0', 'decompose#0', 'extract#0.0', 'extract#0.1']);
    expect(recordOf(trace, 'answer#0').inputs['evidence']).toEqual(['a blue dog', 'nothing']);
    expect(rewardsOf(trace)).toEqual({
      'decompose#0': 0.666667,
      'extract#0.0': 0.666667,
      'extract#0.1': -0.333333,
      'answer#0': 0.666667,
    });
  });
});

describe('M-ASK', () => {
  it('improves its steps turn by turn until <end>, and rewards each role with what it changed', async () => {
    const { trace, waves } = await act('m-ask', {
      plan: ['<q1>who</q1><a1>Tom</a1><final_answer>red dog</final_answer>'],
      'first-answer': ['red'],
      search: ['<search>Mira</search>', '<search>dog colour</search>', '<end>'],
      summarise: ['<evidence>Mira keeps a dog</evidence>', 'No useful information'],
      update: ['<update>t1</update>', 'add it'],
      answer: ['blue', 'blue dog'],
    });
    expect(waves.flat()).toEqual([
      ...['plan', 'first-answer'],
      ...['search', 'summarise', 'update', 'answer'],
      ...['search', 'summarise', 'update', 'answer'],
      'search',
    ]);
    expect(trace.answer).toBe('blue dog');
    expect(recordOf(trace, 'remember#0').outputs['steps']).toEqual([{ question: 'Mira', answer: 'Mira keeps a dog' }]);
    expect(recordOf(trace, 'remember#1').outputs['steps']).toEqual([
      { question: 'Mira', answer: 'Mira keeps a dog' },
      { question: 'dog colour', answer: '' },
    ]);
    expect(recordOf(trace, 'search#1').inputs['answer']).toBe('blue');
    expect(recordOf(trace, 'last#0').parents).toEqual(['more#2', 'keep#1']);
    expect(rewardsOf(trace)).toEqual({
      'plan#0': 0.5, // F1 of its own "red dog"
      'first-answer#0': 0,
      'search#0': 0.666667, // 0 -> 2/3
      'summarise#0': 0.666667,
      'update#0': 0.666667,
      'answer#0': 0.666667,
      'search#1': 0.333333, // 2/3 -> 1
      'summarise#1': 0.333333,
      'update#1': -0.666667, // 1/3, and -1 for its format
      'answer#1': 1,
      'search#2': 0, // <end>
    });
    expect(termsOf(trace, 'search#1')).toEqual({
      gain: { after: 1, before: 2 / 3, weight: 1 },
      format: { format: 0, weight: 1 },
    });
  });

  it('ends after three turns with the last answer', async () => {
    const { trace } = await act('m-ask', {
      plan: ['<q1>who</q1><a1>Tom</a1><final_answer>blue dog</final_answer>'],
      'first-answer': ['blue dog'],
      search: ['<search>a</search>', '<search>b</search>', '<search>c</search>'],
      summarise: Array(3).fill('No useful information') as string[],
      update: ['<add>t2</add>', '<add>t3</add>', '<add>t4</add>'],
      answer: ['blue', 'red', 'dog'],
    });
    expect(trace.answer).toBe('dog');
    expect(rewardsOf(trace)).toMatchObject({ 'search#0': -0.333333, 'search#1': -0.666667, 'search#2': 0.666667 });
  });
});

describe('PRAISE', () => {
  it('elicits an answer from every prefix state in one batch, as records with their own parents', async () => {
    const { trace, waves } = await act('praise', {
      search: ['<q>Tom</q>', '<q>Mira</q>', '<end>'],
      elicit: ['red', 'blue', 'blue dog'],
    });
    expect(waves).toEqual([['search'], ['search'], ['search'], ['elicit', 'elicit', 'elicit']]);
    expect([0, 1, 2].map((i) => recordOf(trace, `elicit#0.${i}`).inputs['passages'])).toEqual([
      [],
      [corpus[1]],
      [corpus[1], corpus[0]],
    ]);
    expect([0, 1, 2].map((i) => recordOf(trace, `elicit#0.${i}`).parents)).toEqual([
      ['question#0'],
      ['question#0', 'keep#0'],
      ['question#0', 'keep#1'],
    ]);
    expect(trace.answer).toBe('blue dog');
    // Outcome 1 and the step each search made: 0 -> 2/3 -> 1; nothing came of <end>.
    expect(rewardsOf(trace)).toEqual({
      'search#0': 1.666667,
      'search#1': 1.333333,
      'search#2': 1,
      'elicit#0.0': 0,
      'elicit#0.1': 0.666667,
      'elicit#0.2': 1,
    });
    expect(termsOf(trace, 'search#0')).toMatchObject({
      outcome: { f1: 1, weight: 1 },
      step: { after: 2 / 3, before: 0, weight: 1 },
    });
  });

  it('asks for an answer where the search of the same state was asked for, so that its prefix is there', async () => {
    const { trace } = await act('praise', {
      search: ['<q>Tom</q>', '<q>Mira</q>', '<end>'],
      elicit: ['red', 'blue', 'blue dog'],
    });
    for (const t of [0, 1, 2]) {
      const [searched, elicited] = [`search#${t}`, `elicit#0.${t}`].map((id) => recordOf(trace, id).prompt!);
      expect(elicited.slice(0, -1)).toEqual(searched.slice(0, -1));
      const ending = 'Short answer:';
      const asked = elicited.at(-1)!.content;
      expect(asked.endsWith(`\n${ending}`)).toBe(true);
      expect(searched.at(-1)!.content.startsWith(asked.slice(0, -ending.length))).toBe(true);
    }
  });

  it('stops after three searches', async () => {
    const { trace } = await act('praise', {
      search: ['<q>Tom</q>', '<q>Mira</q>', 'Mira'],
      elicit: ['red', 'blue', 'blue dog', 'blue'],
    });
    expect(trace.answer).toBe('blue');
    // Outcome 2/3, step 2/3 - 1, format -1.
    expect(rewardsOf(trace)['search#2']).toBe(-0.666667);
  });
});

describe('Evaluator–Optimiser', () => {
  it('revises with the critique in view until accepted, and rewards right verdicts', async () => {
    const { trace, waves } = await act('evaluator-optimiser', {
      generate: ['red', 'blue dog'],
      evaluate: ['<verdict>revise</verdict><critique>not red</critique>', '<verdict>accept</verdict>'],
    });
    expect(waves.flat()).toEqual(['generate', 'evaluate', 'generate', 'evaluate']);
    expect(recordOf(trace, 'generate#1').inputs).toMatchObject({ draft: 'red', critique: 'not red' });
    expect(trace.answer).toBe('blue dog');
    expect(rewardsOf(trace)).toEqual({ 'generate#0': 1, 'evaluate#0': 2, 'generate#1': 1, 'evaluate#1': 2 });
  });

  it('gives its last draft after three rounds, and a wrong verdict nothing', async () => {
    const { trace } = await act('evaluator-optimiser', {
      generate: ['blue dog', 'dog', 'blue'],
      evaluate: ['<verdict>revise</verdict>', 'no', '<verdict>revise</verdict>'],
    });
    expect(trace.answer).toBe('blue');
    expect(rewardsOf(trace)).toEqual({
      'generate#0': 0.666667,
      'evaluate#0': 0.666667, // refused the gold answer
      'generate#1': 0.666667,
      'evaluate#1': 0.666667, // refused rightly (1), in an illegal way (-1)
      'generate#2': 0.666667,
      'evaluate#2': 1.666667,
    });
  });
});

describe('Voting', () => {
  it('takes the answer most voters gave, and rewards each with its own', async () => {
    const { trace, waves } = await act('voting', { vote: ['red', 'The blue', 'blue'] });
    expect(waves).toEqual([['vote', 'vote', 'vote']]);
    expect(trace.answer).toBe('The blue');
    expect(rewardsOf(trace)).toEqual({ 'vote#0.0': 0, 'vote#0.1': 0.666667, 'vote#0.2': 0.666667 });
    expect(termsOf(trace, 'vote#0.0')['vote']).toEqual({ f1: 2 / 3, weight: 0 });
  });
});

describe('Orchestrator–Workers', () => {
  it('splits, works in parallel and merges, all for the outcome', async () => {
    const { trace, waves } = await act('orchestrator-workers', {
      split: ['<task>Mira</task><task>Tom</task><task>dog</task>'],
      work: ['blue dog', 'red cat', 'blue'],
      merge: ['blue dog'],
    });
    expect(waves).toEqual([['split'], ['work', 'work', 'work'], ['merge']]);
    expect(recordOf(trace, 'merge#0').inputs['findings']).toEqual(['blue dog', 'red cat', 'blue']);
    expect(recordOf(trace, 'work#0.2').parents).toEqual(['question#0', 'split#0', 'search#0']);
    expect(rewardsOf(trace)).toEqual({ 'split#0': 1, 'work#0.0': 1, 'work#0.1': 1, 'work#0.2': 1, 'merge#0': 1 });
  });
});

describe('Workflow generator', () => {
  /** Two askers of their own sub-question and a vote between them and a third. */
  const written = {
    roles: {
      asker: { title: 'Asker', prompt: { user: 'Ask {{question}}' }, parser: { kind: 'text', port: 'answer' } },
    },
    nodes: [
      { id: 'start', kind: 'input', outputs: [port('question')] },
      { id: 'ask', kind: 'role', role: 'asker', inputs: [port('question')], samples: 3 },
      { id: 'vote', kind: 'tool', tool: 'majority-vote' },
      { id: 'end', kind: 'output', inputs: [port('answer')] },
    ],
    edges: wires('start.question > ask.question', 'ask.answer > vote.answers', 'vote.answer > end.answer'),
  };
  const text = (team: object) => `Three may vote.\n<workflow>${JSON.stringify(team)}</workflow>`;

  it('runs the team it wrote, whose records share the outcome with it', async () => {
    const { trace, waves } = await act('workflow-generator', {
      generate: [text(written)],
      'team.ask': ['blue', 'blue', 'red'],
    });
    expect(waves).toEqual([['generate'], ['team.ask', 'team.ask', 'team.ask']]);
    expect(trace.answer).toBe('blue');
    expect(recordOf(trace, 'generate#0').outputs['reasoning']).toBe('Three may vote.');
    expect(recordOf(trace, 'team.ask#0.1').parents).toEqual(['team.start#0']);
    expect(recordOf(trace, 'team.start#0').parents).toEqual(['generate#0', 'question#0']);
    expect(recordOf(trace, 'result#0').parents).toEqual(['answered#0']);
    expect(trace.records.some(({ node }) => node === 'answer')).toBe(false);
    // F1 of "blue" is 2/3, for everyone.
    expect(rewardsOf(trace)).toEqual({
      'generate#0': 0.666667,
      'team.ask#0.0': 0.666667,
      'team.ask#0.1': 0.666667,
      'team.ask#0.2': 0.666667,
    });
    expect(recordOf(trace, 'team.ask#0.0').role).toBe('worker');
  });

  it('answers alone where the team may not run, and says why', async () => {
    const illegal = { ...written, nodes: [...written.nodes, { id: 'run', kind: 'tool', tool: 'javascript' }] };
    const { trace, waves } = await act('workflow-generator', { generate: [text(illegal)], answer: ['blue dog'] });
    expect(waves).toEqual([['generate'], ['answer']]);
    expect(recordOf(trace, 'generate#0')).toMatchObject({ legal: false, outputs: { team: null } });
    expect(recordOf(trace, 'team#0')).toMatchObject({
      outputs: { answer: '' },
      error: 'no team that may run was written',
    });
    // The outcome 1 reaches both; the generator's format costs it 1.
    expect(rewardsOf(trace)).toEqual({ 'generate#0': 0, 'answer#0': 1 });
    expect(termsOf(trace, 'generate#0')).toEqual({ outcome: { f1: 1, weight: 1 }, format: { format: -1, weight: 1 } });
  });

  it('answers alone where the team gives nothing, and its calls share the outcome all the same', async () => {
    const { trace } = await act('workflow-generator', {
      generate: [text(written)],
      'team.ask': ['', '', ''],
      answer: ['red'],
    });
    expect(recordOf(trace, 'team.vote#0').error).toMatch(/no answers to count/);
    expect(trace.answer).toBe('red');
    // Outcome 0; an empty answer is illegal.
    expect(rewardsOf(trace)).toEqual({
      'generate#0': 0,
      'team.ask#0.0': -1,
      'team.ask#0.1': -1,
      'team.ask#0.2': -1,
      'answer#0': 0,
    });
  });

  it('shows its writer a team that may run', () => {
    const { roles } = templateWorkflow('workflow-generator');
    const [{ assistant }] = roles['generator'].prompt.few;
    expect(parseText(roles['generator'].parser, assistant, 'stop')).toMatchObject({ legal: true });
  });
});
