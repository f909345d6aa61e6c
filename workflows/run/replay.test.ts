/** Forks of a trace: what stays, what is asked again, and what is refused. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import type { GenerateRequest } from '../../engine/protocol.ts';
import type { ForkChange, Trace } from '../schema/trace.ts';
import type { Query } from '../tasks/task.ts';
import { templateWorkflow } from '../templates/index.ts';
import { runForks, type Generate } from './runner.ts';
import { castOf, generation, lastMessage, nodeOf, run } from './test-support.ts';

const corpus = [
  { title: 'Mira', text: 'lives in Oakton. keeps a cat.' },
  { title: 'Tom', text: 'lives in Reedham. keeps a dog.' },
];
const query: Query = { id: 'a', question: 'Where does Mira live?', answers: ['Oakton'] };
const flow = templateWorkflow('qd-answer');

/** Decomposes wrongly unless it draws with seed 5, and remembers what it was asked. */
function model(): { generate: Generate; asked: GenerateRequest[] } {
  const asked: GenerateRequest[] = [];
  const generate: Generate = async (_, requests) => {
    asked.push(...requests);
    return requests.map((request) => {
      if (nodeOf(request) === 'decompose')
        return generation(request, request.sampling.seed === 5 ? '<q>Mira</q>' : '<q>Tom</q>');
      return generation(request, /lives in (\w+)/.exec(lastMessage(request))?.[1] ?? '?');
    });
  };
  return { generate, asked };
}

async function forked(parent: Trace, record: string, ...changes: ForkChange[]) {
  const { generate, asked } = model();
  const options = { workflow: flow, cast: castOf(flow), query, task: { corpus }, seed: 1, generate };
  const forks = changes.map((change, i) => ({ id: `fork-${i}`, change }));
  return { traces: await runForks(options, parent, record, forks), asked };
}

describe('a fork', () => {
  it('keeps what came before and runs what follows anew', async () => {
    const [parent] = await run(flow, [query], model().generate, { task: { corpus } });
    expect(parent.score.f1).toBe(0);
    const { traces, asked } = await forked(parent, 'decompose#0', { kind: 'text', text: '<q>Mira</q>' });
    expect(traces[0]).toMatchObject({ id: 'fork-0', status: 'done', answer: 'Oakton', phase: parent.phase });
    expect(traces[0].score.f1).toBe(1);
    expect(asked.map(nodeOf)).toEqual(['answer']);
    expect(traces[0].records.map(({ id }) => id)).toEqual(parent.records.map(({ id }) => id));
    expect(traces[0].records[1]).toMatchObject({ text: '<q>Mira</q>', legal: true, prompt: parent.records[1].prompt });
  });

  it('asks nobody where the change changes no later prompt', async () => {
    const [parent] = await run(flow, [query], model().generate, { task: { corpus } });
    const { traces, asked } = await forked(parent, 'decompose#0', { kind: 'text', text: parent.records[1].text! });
    expect(asked).toEqual([]);
    expect(traces[0].records[3]).toEqual(parent.records[3]);
    expect(traces[0].answer).toBe(parent.answer);
  });

  it('draws again with another seed, also where the trace was greedy, and many at once', async () => {
    const [parent] = await run(flow, [query], model().generate, { task: { corpus }, phase: 'eval' });
    const { traces, asked } = await forked(parent, 'decompose#0', ...[4, 5, 6].map((seed) => ({ kind: 'seed' as const, seed }))); // prettier-ignore
    expect(traces.map(({ score }) => score.f1)).toEqual([0, 1, 0]);
    const drawn = asked.filter((request) => nodeOf(request) === 'decompose');
    expect(drawn.map(({ sampling }) => [sampling.seed, sampling.temperature])).toEqual([4, 5, 6].map((seed) => [seed, 1])); // prettier-ignore
    expect(asked.filter((request) => nodeOf(request) === 'answer').map(({ sampling }) => sampling.temperature)).toEqual([0]); // prettier-ignore
  });

  it('asks the changed prompt, and gives a changed result of a tool', async () => {
    const [parent] = await run(flow, [query], model().generate, { task: { corpus } });
    const prompt = [{ role: 'user' as const, content: 'It lives in Leith.' }];
    const other = await forked(parent, 'answer#0', { kind: 'prompt', prompt });
    expect(other.traces[0]).toMatchObject({ answer: 'Leith' });
    expect(other.traces[0].records[3].prompt).toEqual(prompt);
    const passages = [{ title: 'Mira', text: 'lives in Ostra.' }];
    const found = await forked(parent, 'search#0', { kind: 'outputs', outputs: { passages } });
    expect(found.traces[0].answer).toBe('Ostra');
    const wrong = await forked(parent, 'search#0', { kind: 'outputs', outputs: { passages: 7 } });
    expect(wrong.traces[0]).toMatchObject({ status: 'dropped' });
    expect(wrong.traces[0].reason).toContain('the changed result has no passages called passages');
  });

  it('is refused where there is nothing to change', async () => {
    const [parent] = await run(flow, [query], model().generate, { task: { corpus } });
    await expect(forked(parent, 'nope#0', { kind: 'seed', seed: 1 })).rejects.toThrow('No such record in the trace: nope#0'); // prettier-ignore
    const tool = forked(parent, 'search#0', { kind: 'seed', seed: 1 });
    await expect(tool).rejects.toThrow('A tool cannot be forked by its seed: search#0');
    await expect(tool).rejects.toBeInstanceOf(UserError);
  });
});
