/** Questions through the controller: their traces and forks, teams that are kept, and roles that a person plays. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Cancelled } from '../../engine/errors.ts';
import type { Controller } from '../controller.ts';
import type { Turn } from '../protocol.ts';
import { castSchema } from '../schema/cast.ts';
import type { ForkChange } from '../schema/trace.ts';
import { workflowSchema } from '../schema/workflow.ts';
import { echoWorkflow, twoStepWorkflow } from '../train/test-support.ts';
import { config, openBench, type Bench } from './test-support.ts';

describe('questions', () => {
  let bench: Bench;
  let controller: Controller;
  beforeEach(async () => {
    bench = await openBench();
    controller = bench.controller;
  });
  afterEach(() => bench.close());

  it('keep the forks of a trace beside it, on the weights that spoke', async () => {
    await controller.begin(config);
    await controller.settled('r');
    const { rows } = await controller.traces('r', { step: 4, phase: 'train' });
    const trace = await controller.trace('r', rows[0].id);
    const fork = (...changes: ForkChange[]) =>
      controller.forkTrace({ run: 'r', trace: trace.id, record: 'solve#0', changes });
    const [said] = await fork({ kind: 'text', text: trace.query.answers[0] });
    expect(said).toMatchObject({ id: `${trace.id}.fork-1`, score: { f1: 1 }, fork: { of: trace.id, weights: 2 } });
    expect(said.records[1].reward).toBe(1);
    const scored = await controller.scoreRecord({ run: 'r', trace: trace.id, record: 'solve#0', step: 2 });
    expect(scored.logprobs).toHaveLength(trace.records[1].tokens!.ids.length);
    expect(scored.top).toHaveLength(scored.logprobs.length);
    expect(scored.top[0].length).toBeGreaterThan(0);
    const later = await controller.scoreRecord({ run: 'r', trace: trace.id, record: 'solve#0', step: 4 });
    expect(later.logprobs).not.toEqual(scored.logprobs);
    const unknown = { run: 'r', trace: trace.id, record: 'solve#0', step: 77 };
    await expect(controller.scoreRecord(unknown)).rejects.toThrow('no checkpoint of step 77');
    const silent = { run: 'r', trace: trace.id, record: trace.records[0].id, step: 0 };
    await expect(controller.scoreRecord(silent)).rejects.toThrow('No tokens were kept');
    const drawn = await fork({ kind: 'seed', seed: 1 }, { kind: 'seed', seed: 2 });
    expect(drawn.map(({ id }) => id)).toEqual([`${trace.id}.fork-2`, `${trace.id}.fork-3`]);
    const other = bench.open();
    expect(await other.forks('r', trace.id)).toEqual([said, ...drawn]);
    expect(await other.trace('r', said.id)).toEqual(said);
    const [again] = await controller.forkTrace({ run: 'r', trace: said.id, record: 'solve#0', changes: [{ kind: 'seed', seed: 3 }] }); // prettier-ignore
    expect(again).toMatchObject({ id: `${trace.id}.fork-4`, fork: { of: said.id } });
    expect(await other.forks('r', trace.id)).toHaveLength(3);
    await expect(fork()).rejects.toThrow('cannot be forked 0 times');
    await expect(fork({ kind: 'text' } as never)).rejects.toThrow('Not a change of a record');
    await expect(controller.trace('r', `${trace.id}.fork-9`)).rejects.toThrow('No such fork in run r');
    expect((await controller.traces('r', { step: 4 })).rows.map(({ id }) => id)).not.toContain(said.id);
  });

  it('leave a question alone that a person stops', async () => {
    const question = { question: 'What now?', task: 'toy.jsonl', model: 'toy', cast: 'shared', seed: 1 };
    const ask = () => controller.runQuestion({ workflow: workflowSchema.parse(echoWorkflow), ...question });
    const asked = ask();
    await controller.stopAnswer();
    await expect(asked).rejects.toBeInstanceOf(Cancelled);
    bench.told.length = 0;
    const done = await ask();
    expect(done).toMatchObject({ status: 'done', id: '1-run-question', step: 1 });
    // A screen sees each record begin and end.
    const moved = bench.told.flatMap(({ record, state }) => (state ? [`${record.split('/').at(-1)} ${state}`] : []));
    expect(moved).toEqual(['start#0 done', 'solve#0 asked', 'solve#0 done', 'end#0 done']);
    expect((await ask()).id).toBe('2-run-question');
    expect((await controller.traces('-questions', {})).rows.map(({ id }) => id)).toEqual([
      '2-run-question',
      '1-run-question',
    ]);
    expect((await controller.trace('-questions', done.id)).records[1]).toMatchObject({ text: done.records[1].text });
    const other = bench.open();
    const changes: ForkChange[] = [{ kind: 'text', text: 'something else' }];
    const [fork] = await other.forkTrace({ run: '-questions', trace: done.id, record: 'solve#0', changes });
    expect(fork).toMatchObject({ id: '1-run-question.fork-1', answer: 'something else', fork: { weights: 0 } });
    expect(await controller.forks('-questions', done.id)).toEqual([fork]);
    await controller.note('-questions', { trace: done.id, text: '', tags: ['kept'] });
    expect((await other.traces('-questions', { tag: 'kept' })).rows.map(({ tags }) => tags)).toEqual([['kept']]);
    await expect(controller.note('nope', { trace: 'x', text: '', tags: [] })).rejects.toThrow('No such run: nope');
  });

  it('keep teams by name and remove those that were saved, never a template or anything else', async () => {
    const names = async () => (await controller.workflows()).filter((one) => !one.template).map(({ name }) => name);
    const mine = { ...workflowSchema.parse(echoWorkflow), name: 'mine' };
    await controller.saveWorkflow(mine);
    expect(await names()).toEqual(['mine']);
    for (const name of ['qd-answer', 'nobody', '../runs/r/run', ''])
      await expect(controller.removeWorkflow(name)).rejects.toThrow('No saved team of this name can be removed');
    await controller.removeWorkflow('mine');
    expect(await names()).toEqual([]);
    expect((await controller.workflow('qd-answer')).name).toBe('qd-answer');
  });

  it('put the turn of a role that a person plays to the screens, and take the first answer or none', async () => {
    const by = { kind: 'person' as const };
    const me = { model: 'none', method: { kind: 'full' as const }, frozen: true, by };
    const cast = castSchema.parse({ name: 'mine', policies: { me }, roles: { solver: 'me' } });
    const workflow = workflowSchema.parse(echoWorkflow);
    const ask = () =>
      controller.runQuestion({ workflow, question: 'What now?', task: 'toy.jsonl', model: 'toy', cast, seed: 1 });
    const turn = async (): Promise<Turn> => {
      while (bench.turns().length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      return bench.turns()[0];
    };
    const asked = ask();
    const waiting = await turn();
    expect(waiting).toMatchObject({ policy: 'me', node: 'solve', left: 0 });
    expect(waiting.messages.at(-1)!.content).toContain('What now?');
    expect(await controller.turns()).toEqual([waiting]);
    await controller.answerTurn(waiting.id, 'a word');
    expect((await asked).records.find(({ node }) => node === 'solve')?.text).toBe('a word');
    expect(bench.turns()).toEqual([]);
    await expect(controller.answerTurn(waiting.id, 'again')).rejects.toThrow('answered or ended already');
    const stopped = ask();
    await turn();
    await controller.stopAnswer();
    await expect(stopped).rejects.toBeInstanceOf(Cancelled);
    expect(bench.turns()).toEqual([]);
  });

  it('wait for a person while they train, and pause while they wait', async () => {
    const me = { model: 'none', method: { kind: 'full' as const }, frozen: true, by: { kind: 'person' as const } };
    const workflow = workflowSchema.parse(twoStepWorkflow);
    const cast = castSchema.parse({
      name: 'mine',
      policies: { small: { model: 'toy', method: { kind: 'full' } }, me },
      roles: { first: 'small', last: 'me' },
    });
    await controller.begin({ ...config, workflow, cast });
    while (bench.turns().length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(bench.turns()[0]).toMatchObject({ policy: 'me', node: 'say' });
    expect(bench.turns()[0].left).toBeGreaterThan(0);
    await controller.pause('r');
    await controller.settled('r');
    expect((await controller.run('r')).state).toBe('paused');
    expect(bench.turns()).toEqual([]);
  });
});
