import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ModelEntry } from '../../workflows/protocol.ts';
import { castSchema } from '../../workflows/schema/cast.ts';
import { templateWorkflow } from '../../workflows/templates/index.ts';
import { sampleWorkflow } from '../testing/sample-workflow.ts';
import {
  addPolicy,
  assign,
  baseOf,
  changePolicy,
  fitted,
  forRun,
  meaning,
  modelOf,
  offers,
  played,
  playerOf,
  playing,
  presetOf,
  removePolicy,
  renameSeat,
  sameCast,
  seated,
  separateCast,
  sharedCast,
} from './cast-board.ts';
import { copyName } from './copy-name.ts';
import { grouped } from './groups.ts';
import { begin, canRedo, edit, present, redo, undo } from './history.ts';
import { outline } from './outline.ts';
import { portsOf } from './ports.ts';
import { recordCounts } from './record-counts.ts';
import { webHosts } from './web-hosts.ts';
import { portY, teamScene, unknownReferences } from './team-scene.ts';

const roles = ['decomposer', 'answerer'];
const base = { model: 'nano', method: { kind: 'full' } as const };
const model = (name: string, run: number, trainFull: number, trainLora: number): ModelEntry =>
  ({ name, bundled: true, info: { memory: { run, trainFull, trainLora } } }) as ModelEntry;

describe('casts to take at one press', () => {
  it('are shared, separate and those the workflow keeps, told by who plays together', () => {
    const flow = templateWorkflow('m-ask');
    const found = offers(flow, base);
    expect(found.slice(0, 2).map(({ label }) => label)).toEqual(['Shared', 'Separate']);
    expect(found.map(({ label }) => label)).toEqual(expect.arrayContaining(Object.keys(flow.casts)));
    for (const one of found)
      expect(found.filter((other) => sameCast(one.cast, other.cast)).map(({ label }) => label)).toContain(one.label);
    expect(sameCast(found[0].cast, found[1].cast)).toBe(false);
    const renamed = {
      ...found[0].cast,
      policies: { us: found[0].cast.policies['team'] },
      roles: Object.fromEntries(Object.keys(flow.roles).map((role) => [role, 'us'])),
    };
    expect(sameCast(renamed, found[0].cast)).toBe(true);
  });

  it('follow the drawn groups: who stands in one shares a policy', () => {
    const flow = templateWorkflow('qd-answer');
    const both = flow.nodes.filter((node) => node.kind === 'role' || node.kind === 'tool').map(({ id }) => id);
    const { workflow } = grouped(flow, both, {});
    const byGroup = offers(workflow, base).find(({ label }) => label === 'By group');
    expect(new Set(Object.values(byGroup!.cast.roles)).size).toBe(1);
    expect(offers(flow, base).some(({ label }) => label === 'By group')).toBe(false);
  });
});

describe('the web', () => {
  it('is asked for by the hosts that tools name, those inside sub-workflows too', () => {
    const reads = (id: string, hosts: string[]) => ({ id, kind: 'tool', title: '', timeoutMs: 1, tool: 'web-fetch', settings: { hosts } }) as const; // prettier-ignore
    const [outer, inner] = [reads('one', ['b.example', 'a.example']), reads('two', ['a.example', 'c.example'])];
    const nodes = [...sampleWorkflow.nodes, outer];
    expect(webHosts(sampleWorkflow)).toEqual([]);
    const hosts = webHosts({ nodes, workflows: { inside: { title: '', nodes: [inner], edges: [] } } });
    expect(hosts).toEqual(['a.example', 'b.example', 'c.example']);
  });
});

describe('cast board', () => {
  it('knows its presets however a board came to be', () => {
    expect(presetOf(sharedCast(sampleWorkflow, base), roles)).toBe('shared');
    const apart = separateCast(sampleWorkflow, base);
    expect(presetOf(apart, roles)).toBe('separate');
    expect(assign(apart, 'answerer', 'decomposer').name).toBe('shared');
    expect(changePolicy(apart, 'answerer', { frozen: true }).name).toBe('custom');
  });
  it('moves a role and leaves unused policies out of the run', () => {
    const board = assign(addPolicy(sharedCast(sampleWorkflow, base), base), 'answerer', 'policy-2');
    expect(board.roles).toEqual({ decomposer: 'team', answerer: 'policy-2' });
    const back = assign(board, 'answerer', 'team');
    expect(Object.keys(back.policies)).toEqual(['team', 'policy-2']);
    expect(Object.keys(forRun(back).policies)).toEqual(['team']);
    expect(Object.keys(removePolicy(back, 'policy-2').policies)).toEqual(['team']);
    expect(removePolicy(back, 'team')).toBe(back);
    expect(assign(board, 'answerer', 'nobody')).toBe(board);
  });
  it('lets a person or a service play, whom no model and no memory belongs to, and a model again', () => {
    const apart = separateCast(sampleWorkflow, base);
    const models = [model('nano', 1, 10, 4)];
    const mixed = played(played(apart, 'decomposer', 'person'), 'answerer', 'lora');
    expect(castSchema.parse(mixed).policies).toMatchObject({
      decomposer: { frozen: true, by: { kind: 'person' } },
      answerer: { frozen: false, method: { kind: 'lora' } },
    });
    expect(meaning(mixed, models, {}).trainBytes).toBe(4);
    const served = played(apart, 'decomposer', 'service');
    expect(castSchema.parse(served).policies.decomposer.by).toMatchObject({ url: 'http://localhost:8080/v1' });
    expect(modelOf({ ...served, policies: { ...served.policies, decomposer: { ...served.policies.decomposer, model: 'none' } } })).toBe('nano'); // prettier-ignore
    for (const by of ['full', 'lora', 'frozen', 'person', 'service'] as const)
      expect(playerOf(played(served, 'decomposer', by).policies.decomposer)).toBe(by);
    expect(presetOf(played(served, 'decomposer', 'full'), roles)).toBe('separate');
  });
  it('always gives every role a policy that exists', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('add', 'assign', 'remove'), fc.constantFrom(...roles), fc.nat(4))),
        (moves) => {
          let board = sharedCast(sampleWorkflow, base);
          for (const [move, role, at] of moves) {
            const name = Object.keys(board.policies)[at % Object.keys(board.policies).length];
            board =
              move === 'add'
                ? addPolicy(board, base)
                : move === 'assign'
                  ? assign(board, role, name)
                  : removePolicy(board, name);
          }
          for (const role of roles) expect(board.policies[board.roles[role]]).toBeDefined();
        },
      ),
    );
  });
  it('starts a policy whole on a small model and as an adapter on a large one', () => {
    const entry = (name: string, parameters: number, bundled: boolean): ModelEntry =>
      ({ name, bundled, info: { parameters } }) as ModelEntry;
    expect(baseOf([entry('big', 5e8, false), entry('nano', 1e6, true)])).toEqual({
      model: 'nano',
      method: { kind: 'full' },
    });
    expect(baseOf([entry('big', 5e8, false)]).method.kind).toBe('lora');
    expect(baseOf([{ name: 'broken', bundled: true, info: null }]).model).toBe('nano');
  });
  it('never names a copy like a team that exists', () => {
    expect(copyName('qd-answer', ['qd-answer'])).toBe('my-qd-answer');
    expect(copyName('qd-answer', ['my-qd-answer', 'my-qd-answer-2'])).toBe('my-qd-answer-3');
    expect(copyName('a'.repeat(64), [])).toHaveLength(60);
  });
  it('follows a workflow that changed', () => {
    expect(fitted(separateCast(sampleWorkflow, base), ['answerer', 'critic'])?.roles).toEqual({
      answerer: 'answerer',
      critic: 'decomposer',
    });
  });
  it('counts shared bases once and adapters each', () => {
    const lora = { model: 'big', method: { kind: 'lora', rank: 16, alpha: 32, targets: ['q_proj'] } as const };
    const models = [model('nano', 1, 10, 4), model('big', 100, 900, 130)];
    expect(meaning(sharedCast(sampleWorkflow, base), models, recordCounts(sampleWorkflow))).toEqual({
      policies: 1,
      trainBytes: 10,
      samples: { team: { n: 2, how: 'exact' } },
    });
    const mutable = { model: lora.model, method: { ...lora.method, targets: [...lora.method.targets] } };
    expect(meaning(separateCast(sampleWorkflow, mutable), models, {}).trainBytes).toBe(100 + 2 * 30);
    expect(meaning(sharedCast(sampleWorkflow, { ...base, model: 'gone' }), models, {}).trainBytes).toBeNull();
    expect(playing(separateCast(sampleWorkflow, base))).toEqual(roles);
  });
});

describe('seats', () => {
  it('are kept for the roles that stay; a new role gets its own policy where each has one', () => {
    const apart = separateCast(sampleWorkflow, base);
    const wider = { ...sampleWorkflow, roles: { ...sampleWorkflow.roles, judge: sampleWorkflow.roles.answerer } };
    expect(seated(apart, wider, base).roles).toEqual({
      decomposer: 'decomposer',
      answerer: 'answerer',
      judge: 'judge',
    });
    expect(seated(sharedCast(sampleWorkflow, base), wider, base).roles.judge).toBe('team');
    expect(seated(null, { ...sampleWorkflow, roles: {} }, base).roles).toEqual({});
    expect(renameSeat(apart, 'answerer', 'reader').roles).toEqual({ decomposer: 'decomposer', reader: 'answerer' });
  });
});

describe('history', () => {
  it('undoes and redoes, and joins typing into one step', () => {
    let history = begin('a');
    history = edit(history, 'ab', 'text', 1_000);
    history = edit(history, 'abc', 'text', 1_400);
    history = edit(history, 'X', 'other', 1_500);
    expect(history.states).toEqual(['a', 'abc', 'X']);
    history = undo(undo(undo(history)));
    expect(present(history)).toBe('a');
    expect(present(redo(redo(redo(history))))).toBe('X');
    expect(canRedo(edit(history, 'new', 'text', 9_000))).toBe(false);
  });
});

describe('workflow drawing', () => {
  it('has every node once in the outline, after what feeds it', () => {
    const rows = outline(sampleWorkflow, new Set());
    expect(rows.map((row) => row.key)).toEqual(['question', 'decompose', 'retrieve', 'answer', 'result']);
  });
  it('gives tools their own ports, and unknown ones those their wires use', () => {
    const tool = sampleWorkflow.nodes.find((node) => node.kind === 'tool');
    if (tool?.kind !== 'tool') throw new Error('the sample has a tool');
    expect(portsOf(sampleWorkflow, tool).inputs.map((port) => port.name)).toContain('queries');
    expect(portsOf(sampleWorkflow, { ...tool, tool: 'unheard-of' })).toEqual({
      inputs: [{ name: 'queries', type: null }],
      outputs: [{ name: 'passages', type: null }],
    });
  });
  it('starts wires at the ports they leave', () => {
    const scene = teamScene(sampleWorkflow, sharedCast(sampleWorkflow, base));
    const wire = scene.wires.find((one) => one.id === 'retrieve.passages>answer.evidence');
    expect(wire?.toY).toBe(portY(1));
    expect(scene.cards.find((card) => card.id === 'answer')?.policy).toBe('team');
  });
  it('finds references that no input fills', () => {
    expect(unknownReferences('Q: {{question}} {{ evidence }} {{memory}}', ['question', 'evidence'])).toEqual([
      'memory',
    ]);
  });
});
