import { describe, expect, it } from 'vitest';
import { templateWorkflow } from '../templates/index.ts';
import { plainRole, recordOf, run, scripted, text, workflow } from './test-support.ts';

const corpus = [{ title: 'Mira', text: 'lives in Oakton.' }];
const query = { id: 'a', question: 'Where does Mira live?', answers: ['Oakton'] };
const flow = templateWorkflow('qd-answer');

describe('pinned results', () => {
  it('stand for a node, and what only fed it does not run', async () => {
    const { generate, calls } = scripted((_, prompt) => /lives in (\w+)/.exec(prompt)?.[1] ?? '?');
    const pinned = { search: { passages: [{ title: 'Tom', text: 'lives in Reedham.' }] } };
    const id = flow.nodes.find((node) => node.kind === 'tool')!.id;
    const [trace] = await run(flow, [query], generate, { task: { corpus }, pinned: { [id]: pinned.search } });
    expect(calls.map((call) => call.nodes)).toEqual([['answer']]);
    expect(trace.answer).toBe('Reedham');
    expect(trace.records.map((record) => record.node)).toEqual(['question', id, 'answer', trace.records[3].node]);
    expect(recordOf(trace, `${id}#0`)).toMatchObject({ pinned: true, outputs: pinned.search });
    expect(recordOf(trace, 'answer#0').pinned).toBeUndefined();
  });

  it('stand for a role without asking it, in every turn of a loop', async () => {
    const loop = workflow({
      roles: { first: plainRole('{{value}}'), last: plainRole('{{value}}') },
      nodes: [
        { id: 'ask', kind: 'input', outputs: [text('question')] },
        { id: 'round', kind: 'loop', type: 'text', until: 'false', limit: 2 },
        { id: 'first', kind: 'role', role: 'first', inputs: [text('value')] },
        { id: 'last', kind: 'role', role: 'last', inputs: [text('value')] },
        { id: 'end', kind: 'output', inputs: [text('answer')] },
      ],
      edges: [
        ['ask.question', 'round.in'],
        ['round.body', 'first.value'],
        ['first.out', 'last.value'],
        ['last.out', 'round.again'],
        ['round.done', 'end.answer'],
      ],
    });
    const { generate, calls } = scripted((_, prompt) => `${prompt}!`);
    const [trace] = await run(loop, [query], generate, { pinned: { first: { out: 'given' } } });
    expect(calls.flatMap((call) => call.nodes)).toEqual(['last', 'last']);
    expect([trace.status, trace.answer]).toEqual(['done', 'given!']);
    expect(trace.records.filter((record) => record.pinned)).toHaveLength(2);
  });

  it('drop the question with a reason where a value is of the wrong type, and unknown nodes are passed over', async () => {
    const { generate } = scripted(() => 'Oakton');
    const wrong = await run(flow, [query], generate, { task: { corpus }, pinned: { answer: { answer: 7 } } });
    expect(wrong[0]).toMatchObject({
      status: 'dropped',
      reason: 'answer: the pinned result has no text called answer',
    });
    const [fine] = await run(flow, [query], generate, { task: { corpus }, pinned: { nobody: {} } });
    expect([fine.status, fine.records.length]).toEqual(['done', 5]);
  });
});
