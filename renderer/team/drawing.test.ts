/** What can be drawn, as plain functions: edits, wires, new nodes, copies, groups, the outline, and the repairs offered. */
import { describe, expect, it } from 'vitest';
import { castProblems } from '../../workflows/schema/lint-cast.ts';
import { lint } from '../../workflows/schema/lint.ts';
import { parseWorkflow } from '../../workflows/schema/migrate.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { templateNames, templateWorkflow } from '../../workflows/templates/index.ts';
import { sampleWorkflow } from '../testing/sample-workflow.ts';
import { actionsFor, shownActions } from './actions.ts';
import { problemsWithin } from './card-problems.ts';
import { sharedCast } from './cast-board.ts';
import { copied, looksCopied, pasted } from './clipboard.ts';
import { connect, disconnect, move, removeNodes, renameNode, renameRole, setRole } from './edits.ts';
import { addPort, removePort, renameBranch, renamePort, setField, withBranch, withoutBranch } from './port-edits.ts';
import { faceOf, fixOf, placeOf } from './fixes.ts';
import { grouped, insideOf, ungrouped, withInside } from './groups.ts';
import { fromOutside, nodeAt, pathsOf, withSeries } from './paths.ts';
import { movedPins, pinsIn, pinsWithin } from './pins.ts';
import { freeName, slug } from './names.ts';
import { addChoice, choices, insertChoice } from './new-node.ts';
import { addNote, removeNote, setNote } from './notes.ts';
import { outline } from './outline.ts';
import { emptyWorkflow } from './team.ts';
import { upTo } from './up-to.ts';
import { join, keyOf, landing, NEW, verdict, verdicts, type PortRef } from './wires.ts';

const out = (node: string, port: string): PortRef => ({ node, side: 'out', port });
const into = (node: string, port: string): PortRef => ({ node, side: 'in', port });

/** The steps of a person who draws QD-Answer, as choices and wires. */
function drawnByHand(): Workflow {
  let workflow = emptyWorkflow('mine', 'Mine');
  const add = (choice: string, from: PortRef | null = null): string => {
    const made = addChoice(workflow, choice, from);
    if (!made) throw new Error(`nothing came of ${choice}`);
    workflow = made.workflow;
    return made.id;
  };
  const wire = (start: PortRef, end: PortRef): void => {
    const next = join(workflow, start, end);
    if (!next) throw new Error(`${keyOf(start)} does not join ${keyOf(end)}`);
    workflow = next;
  };
  const question = add('input');
  const decompose = add('role', out(question, 'question'));
  workflow = setRole(workflow, decompose, {
    ...workflow.roles[decompose],
    parser: { kind: 'tags', tag: 'q', port: 'queries', min: 1, max: 2, unique: true, strict: true, maxChars: 200 },
  });
  const search = add('tool:bm25', out(decompose, 'queries'));
  const answer = add('role', out(search, 'passages'));
  wire(out(question, 'question'), into(answer, NEW));
  add('output', out(answer, 'answer'));
  return workflow;
}

describe('drawing from an empty canvas', () => {
  it('gives a team without a problem that the workflow format takes', () => {
    const workflow = drawnByHand();
    expect(lint(workflow)).toEqual([]);
    expect(parseWorkflow(JSON.parse(JSON.stringify(workflow)))).toEqual(workflow);
    expect(workflow.edges).toHaveLength(5);
    expect(workflow.roles['role-2'].prompt.user).toBe('{{passages}}\n{{question}}');
  });
  it('offers everything the format has, and for a wire only what takes it', () => {
    const kinds = new Set(choices(emptyWorkflow('a', 'A'), null).map((choice) => choice.id.split(':')[0]));
    expect([...kinds].sort()).toEqual(
      ['compute', 'input', 'join', 'loop', 'memory', 'note', 'output', 'role', 'router', 'tool'].sort(),
    );
    const forPassages = choices(sampleWorkflow, out('retrieve', 'passages')).map((choice) => choice.id);
    expect(forPassages).toContain('role');
    expect(forPassages).toContain('join');
    expect(forPassages).not.toContain('tool:bm25');
    expect(forPassages).not.toContain('input');
    const forWanted = choices(sampleWorkflow, into('answer', 'evidence')).map((choice) => choice.id);
    expect(forWanted).toContain('tool:bm25');
    expect(forWanted).not.toContain('output');
  });
  it('makes nodes of every choice that the format takes', () => {
    for (const { id } of choices(sampleWorkflow, null)) {
      const made = addChoice(sampleWorkflow, id, null);
      expect(() => parseWorkflow(JSON.parse(JSON.stringify(made?.workflow)))).not.toThrow();
    }
  });
});

describe('wires', () => {
  it('say why a port does not take them', () => {
    const why = (start: PortRef, end: PortRef): string => {
      const found = verdict(sampleWorkflow, start, end);
      return found.ok ? '' : found.why;
    };
    expect(why(out('retrieve', 'passages'), into('decompose', 'question'))).toContain(
      'passages does not fit into text',
    );
    expect(why(out('decompose', 'queries'), into('decompose', 'question'))).toContain('itself');
    expect(why(out('decompose', 'queries'), out('answer', 'answer'))).toContain('outputs');
    expect(why(out('question', 'question'), into('answer', 'question'))).toContain('already');
    expect(why(out('answer', 'answer'), into('decompose', 'question'))).toContain('again');
    expect(why(into('result', 'answer'), out('question', 'question'))).toBe('');
  });
  it('may close a circle at a loop', () => {
    const looped = addChoice(sampleWorkflow, 'loop', out('question', 'question'));
    if (!looped) throw new Error('a loop takes a text');
    const body = join(looped.workflow, out(looped.id, 'body'), into('decompose', NEW));
    expect(body && verdict(body, out('answer', 'answer'), into(looped.id, 'again'))).toEqual({ ok: true });
    expect(body && verdict(body, out('answer', 'answer'), into(looped.id, 'in')).ok).toBe(false);
  });
  it('land on a free port, else grow one', () => {
    expect(landing(sampleWorkflow, out('question', 'question'), 'retrieve')).toEqual(into('retrieve', 'queries'));
    expect(landing(sampleWorkflow, out('retrieve', 'passages'), 'result')).toEqual(into('result', NEW));
    const grown = join(sampleWorkflow, out('retrieve', 'passages'), into('result', NEW));
    expect(grown?.edges.at(-1)).toEqual({
      from: { node: 'retrieve', port: 'passages' },
      to: { node: 'result', port: 'passages' },
    });
  });
  it('judge every port of the other side', () => {
    const all = verdicts(sampleWorkflow, out('decompose', 'queries'));
    expect(all.get('retrieve|in|queries')).toMatchObject({ ok: false });
    expect(all.get('answer|in|+')).toMatchObject({ ok: true });
    expect(all.has('answer|out|answer')).toBe(false);
  });
});

describe('edits', () => {
  it('take out what hangs on a node', () => {
    const next = removeNodes({ ...sampleWorkflow, layout: { decompose: { x: 1, y: 2 }, answer: { x: 3, y: 4 } } }, [
      'decompose',
    ]);
    expect(next.edges.some((edge) => edge.from.node === 'decompose' || edge.to.node === 'decompose')).toBe(false);
    expect(Object.keys(next.roles)).toEqual(['answerer']);
    expect(Object.keys(next.layout)).toEqual(['answer']);
    expect(removeNodes(sampleWorkflow, ['nobody'])).toBe(sampleWorkflow);
  });
  it('rename a node with its wires, place and rewards', () => {
    const before: Workflow = {
      ...sampleWorkflow,
      layout: { retrieve: { x: 1, y: 2 } },
      rewards: {
        ...sampleWorkflow.rewards,
        rules: [
          {
            ...sampleWorkflow.rewards.rules[0],
            value: { kind: 'last', of: { node: 'retrieve', port: 'passages' }, metric: 'value', start: 0 },
          },
        ],
      },
    };
    const { workflow: named, id, moved } = renameNode(before, 'retrieve', 'Find pages!');
    const workflow = withSeries(named, fromOutside(before, null, moved));
    expect(id).toBe('find-pages');
    expect(workflow.edges.filter((edge) => edge.from.node === id || edge.to.node === id)).toHaveLength(2);
    expect(workflow.layout).toEqual({ 'find-pages': { x: 1, y: 2 } });
    expect(workflow.rewards.rules[0].value).toMatchObject({ of: { node: 'find-pages' } });
    const role = renameRole(workflow, 'answerer', 'Reader');
    expect(role.workflow.nodes.find((node) => node.id === 'answer')).toMatchObject({ role: 'reader' });
  });
  it('rename a port with its wires and the prompt that reads it', () => {
    const next = renamePort(sampleWorkflow, 'answer', 'evidence', 'pages');
    expect(next.roles.answerer.prompt.user).toContain('{{pages}}');
    expect(next.edges).toContainEqual({
      from: { node: 'retrieve', port: 'passages' },
      to: { node: 'answer', port: 'pages' },
    });
    expect(lint(next).filter((problem) => problem.level === 'error')).toEqual([]);
  });
  it('keep the ports a node must have, and wires of an output that only changed its name', () => {
    expect(removePort(sampleWorkflow, 'result', 'answer')).toBeNull();
    expect(removePort(sampleWorkflow, 'answer', 'evidence')?.edges).toHaveLength(4);
    const { parser } = sampleWorkflow.roles.decomposer;
    const named = setRole(sampleWorkflow, 'decomposer', {
      ...sampleWorkflow.roles.decomposer,
      parser: { ...parser, port: 'searches' } as typeof parser,
    });
    expect(named.edges).toContainEqual({
      from: { node: 'decompose', port: 'searches' },
      to: { node: 'retrieve', port: 'queries' },
    });
    expect(addPort(sampleWorkflow, 'retrieve', { name: 'x', type: 'text' })).toBeNull();
  });
  it('rename branches with the wires that leave there', () => {
    const made = addChoice(sampleWorkflow, 'router', out('question', 'question'));
    if (!made) throw new Error('a branch takes a text');
    const wired = join(made.workflow, out(made.id, 'no'), into('answer', NEW));
    const next = wired && renameBranch(withBranch(wired, made.id), made.id, 'no', 'Other way');
    expect(next?.edges.at(-1)?.from).toEqual({ node: made.id, port: 'other-way' });
    expect(next && withoutBranch(withoutBranch(next, made.id, 'branch'), made.id, 'yes').nodes.at(-1)).toMatchObject({
      branches: [{ name: 'yes' }],
    });
  });
  it('draw and take out a wire once, move cards on whole pixels, and keep memory in order', () => {
    const edge = { from: { node: 'question', port: 'question' }, to: { node: 'retrieve', port: 'queries' } };
    const drawn = connect(sampleWorkflow, edge.from, edge.to);
    expect(connect(drawn, edge.from, edge.to)).toBe(drawn);
    expect(disconnect(drawn, edge).edges).toEqual(sampleWorkflow.edges);
    expect(move(sampleWorkflow, { answer: { x: 1.4, y: 2.6 } }).layout).toEqual({ answer: { x: 1, y: 3 } });
    const memory = addChoice(sampleWorkflow, 'memory', out('decompose', 'queries'));
    const text = memory && setField(memory.workflow, 'queries', 'text');
    expect(text?.nodes.at(-1)).toMatchObject({ write: [{ field: 'queries', how: 'replace' }] });
  });
  it('make names the format takes', () => {
    expect([slug('Größe 2!', 'x'), slug('42', 'x'), slug('constructor', 'x')]).toEqual(['gro-e-2', 'x', 'x']);
    expect(freeName('a', ['a', 'a-2'])).toBe('a-3');
  });
});

describe('copies', () => {
  it('come back as text with the roles and wires between them, under new names', () => {
    const text = copied(sampleWorkflow, ['decompose', 'retrieve'], {
      decompose: { x: 0, y: 0 },
      retrieve: { x: 200, y: 0 },
    });
    expect(looksCopied(text)).toBe(true);
    const { workflow, ids } = pasted(sampleWorkflow, text, { x: 500, y: 300 });
    expect(ids).toEqual(['decompose-2', 'retrieve-2']);
    expect(workflow.layout).toEqual({ 'decompose-2': { x: 400, y: 300 }, 'retrieve-2': { x: 600, y: 300 } });
    expect(Object.keys(workflow.roles)).toEqual(['decomposer', 'answerer', 'decomposer-2']);
    expect(workflow.edges).toHaveLength(6);
    const elsewhere = pasted(emptyWorkflow('b', 'B'), text, null);
    expect(Object.keys(elsewhere.workflow.roles)).toEqual(['decomposer']);
  });
  it('are refused with a sentence when they are damaged or foreign', () => {
    expect(looksCopied('{"troupe": "workflow"}')).toBe(false);
    expect(() => pasted(sampleWorkflow, '{"troupe": "part", ', null)).toThrow('copy the nodes again');
    expect(() => pasted(sampleWorkflow, '{"troupe": "part", "version": 9}', null)).toThrow('version');
  });
});

describe('groups', () => {
  it('put nodes into a sub-workflow and back', () => {
    const { workflow, id } = grouped(sampleWorkflow, ['decompose', 'retrieve'], {});
    expect(lint(workflow).filter((problem) => problem.level === 'error')).toEqual([]);
    expect(workflow.nodes.map((node) => node.id)).toEqual(['question', 'answer', 'result', id]);
    const inner = insideOf(workflow, 'group');
    expect(inner?.nodes.map((node) => node.kind)).toEqual(['input', 'role', 'tool', 'output']);
    const back = ungrouped(workflow, id, {});
    expect(back?.workflow.workflows).toBeUndefined();
    const sorted = (list: Workflow): string[] => list.edges.map((edge) => JSON.stringify(edge)).sort();
    expect(back && sorted(back.workflow)).toEqual(sorted(sampleWorkflow));
  });
  it('refuse ends, single nodes, and what a value leaves and comes back to', () => {
    expect(() => grouped(sampleWorkflow, ['question', 'decompose'], {})).toThrow('outside');
    expect(() => grouped(sampleWorkflow, ['decompose'], {})).toThrow('two');
    expect(() => grouped(sampleWorkflow, ['decompose', 'answer'], {})).toThrow('between');
  });
  it('keep outer wires at a port that gets another name, and lose those to a port that is gone', () => {
    const { workflow } = grouped(sampleWorkflow, ['decompose', 'retrieve'], {});
    const inner = insideOf(workflow, 'group')!;
    const next = withInside(workflow, 'group', renamePort(inner, 'out', 'passages', 'pages'));
    expect(next.edges).toContainEqual({
      from: { node: 'group', port: 'pages' },
      to: { node: 'answer', port: 'evidence' },
    });
    expect(next.edges.some((edge) => edge.from.port === 'passages')).toBe(false);
    const ports = (['a', 'b'] as const).map((name) => ({ name, type: 'passages' as const, optional: false }));
    const nodes = inner.nodes.map((node) => (node.kind === 'output' ? { ...node, inputs: ports } : node));
    expect(withInside(workflow, 'group', { ...inner, nodes }).edges.some((edge) => edge.from.node === 'group')).toBe(
      false,
    );
  });
  it('stand in groups, and keep where their nodes stood', () => {
    const places = { decompose: { x: 0, y: 0 }, retrieve: { x: 300, y: 40 }, answer: { x: 600, y: 0 } };
    const placed = { ...sampleWorkflow, layout: places };
    const { workflow, id } = grouped(placed, ['decompose', 'retrieve'], places);
    expect(workflow.workflows?.group.layout).toMatchObject({ decompose: { x: 0, y: 0 }, retrieve: { x: 300, y: 40 } });
    const inner = insideOf(workflow, 'group')!;
    const nested = withInside(workflow, 'group', grouped(inner, ['decompose', 'retrieve'], inner.layout).workflow);
    expect(lint(nested).filter((problem) => problem.level === 'error')).toEqual([]);
    expect(nodeAt(nested, 'group.group-2.retrieve')?.kind).toBe('tool');
    expect(parseWorkflow(JSON.parse(JSON.stringify(nested)))).toEqual(nested);
    const back = ungrouped(workflow, id, { ...places, [id]: { x: 150, y: 20 } });
    expect(back?.workflow.layout).toMatchObject({ decompose: { x: 0, y: 0 }, retrieve: { x: 300, y: 40 } });
  });
  it('take a part of what goes round, while the loop stays outside', () => {
    const team = templateWorkflow('m-ask');
    const summarise = team.nodes.find((node) => node.kind === 'role' && node.role === 'summariser')!.id;
    const before = team.edges.find((edge) => edge.to.node === summarise && edge.from.port === 'passages')!.from.node;
    const { workflow } = grouped(team, [summarise, before], {});
    expect(lint(workflow).filter((problem) => problem.level === 'error')).toEqual([]);
  });
});

describe('what names a node from outside', () => {
  const group = grouped(sampleWorkflow, ['decompose', 'retrieve'], {});
  const pins = { retrieve: { passages: [] }, answer: { answer: 'x' } };
  it('follows it into a group, out of it, and to another name', () => {
    const into = movedPins(pins, fromOutside(sampleWorkflow, null, group.moved));
    expect(Object.keys(into)).toEqual(['group.retrieve', 'answer']);
    expect(pinsWithin(into, '')).toEqual({ group: 'inner', answer: 'own' });
    expect(pinsWithin(into, 'group.')).toEqual({ retrieve: 'own' });
    const inner = insideOf(group.workflow, 'group')!;
    const named = renameNode(inner, 'retrieve', 'Look');
    const whole = withInside(group.workflow, 'group', named.workflow);
    const renamed = movedPins(into, fromOutside(group.workflow, 'group', named.moved));
    expect(Object.keys(renamed)).toEqual(['group.look', 'answer']);
    expect(pinsIn(whole, renamed)).toBe(renamed);
    const out = ungrouped(whole, group.id, {})!;
    expect(Object.keys(movedPins(renamed, fromOutside(whole, null, out.moved)))).toEqual(['look', 'answer']);
  });
  it('is every way to a sub-workflow that several nodes run', () => {
    const again = addChoice(group.workflow, 'workflow:group', null)!.workflow;
    const moved = fromOutside(again, 'group', (path) => (path === 'retrieve' ? 'look' : path));
    expect(['group.retrieve', 'group-2.retrieve', 'retrieve'].map(moved)).toEqual([
      'group.look',
      'group-2.look',
      'retrieve',
    ]);
    expect(pathsOf(again).map(([path]) => path)).toContain('group-2.decompose');
  });
  it('is left out of the pins when the node is gone', () => {
    expect(pinsIn(removeNodes(sampleWorkflow, ['retrieve']), pins)).toEqual({ answer: { answer: 'x' } });
    expect(pinsIn(sampleWorkflow, { question: { question: 'q' } })).toEqual({});
  });
});

describe('a node put into a wire', () => {
  const wire = sampleWorkflow.edges.find((edge) => edge.to.node === 'retrieve')!;
  it('takes what came and gives it on', () => {
    const made = insertChoice(sampleWorkflow, 'compute', wire)!;
    expect(made.workflow.edges).not.toContainEqual(wire);
    expect(made.workflow.edges.some((edge) => edge.from.node === made.id && edge.to.node === 'retrieve')).toBe(true);
    expect(lint(made.workflow).filter((problem) => problem.level === 'error')).toEqual([]);
  });
  it('must fit both ends', () => {
    expect(insertChoice(sampleWorkflow, 'output', wire)).toBeNull();
    expect(insertChoice(sampleWorkflow, 'input', wire)).toBeNull();
  });
});

describe('notes', () => {
  it('are written, moved within bounds, and taken away without a trace', () => {
    const { workflow, id } = addNote(sampleWorkflow, { x: 100, y: 45 })!;
    expect(workflow.notes).toEqual([{ id: 'note', text: '', x: 0, y: 0, width: 200, height: 90 }]);
    const written = setNote(workflow, id, { text: 'why?', x: 1.6, width: 9_999, height: 1 });
    expect(written.notes).toEqual([{ id, text: 'why?', x: 2, y: 0, width: 2_000, height: 40 }]);
    expect(parseWorkflow(JSON.parse(JSON.stringify(written)))).toEqual(written);
    expect(addNote(written, { x: 0, y: 0 })?.id).toBe('note-2');
    expect(removeNote(written, id)).toEqual(sampleWorkflow);
  });
  it('stay on the canvas of their group', () => {
    const outer = addNote(sampleWorkflow, { x: 0, y: 0 })!.workflow;
    const { workflow } = grouped(outer, ['decompose', 'retrieve'], {});
    const inner = insideOf(workflow, 'group')!;
    expect(inner.notes).toBeUndefined();
    const noted = withInside(
      workflow,
      'group',
      setNote(addNote(inner, { x: 0, y: 0 })!.workflow, 'note', { text: 'in' }),
    );
    expect(noted.notes).toEqual(outer.notes);
    expect(insideOf(noted, 'group')?.notes?.[0].text).toBe('in');
    const apart = ungrouped(noted, 'group', {})!.workflow;
    expect(apart.notes?.map(({ id, text }) => [id, text])).toEqual([
      ['note', ''],
      ['note-2', 'in'],
    ]);
    const bare = withInside(noted, 'group', removeNote(insideOf(noted, 'group')!, 'note'));
    expect(bare.workflows?.group.notes).toBeUndefined();
  });
});

describe('what a menu offers', () => {
  const facts = { several: false, kind: 'role', pinned: false, known: true, running: false, empty: false };
  it('is what works on the thing', () => {
    expect(actionsFor({ kind: 'wire' }, facts)).toEqual(['insert-node', 'delete-node']);
    expect(actionsFor({ kind: 'node' }, facts)).toContain('run-node');
    expect(actionsFor({ kind: 'node' }, { ...facts, running: true })).not.toContain('run-here');
    expect(actionsFor({ kind: 'node' }, { ...facts, kind: 'workflow' })[0]).toBe('open-group');
    expect(actionsFor({ kind: 'canvas' }, { ...facts, empty: true })).toEqual(['add-node', 'paste']);
    const shown = shownActions(actionsFor({ kind: 'node' }, facts), (action) => `keys of ${action}`);
    expect(shown.every(({ label }) => label)).toBe(true);
    expect(shown).toContainEqual({ id: 'duplicate', label: 'Duplicate', detail: 'keys of duplicate' });
  });
});

describe('outline', () => {
  it('lists the ports of an opened node with a row for each wire', () => {
    const rows = outline(sampleWorkflow, new Set(['question', 'answer']));
    expect(rows.filter((row) => row.kind === 'port').map((row) => row.key)).toEqual([
      'question|out|question#0',
      'question|out|question#1',
      'answer|in|question#0',
      'answer|in|evidence#0',
      'answer|out|answer#0',
    ]);
  });
});

describe('repairs', () => {
  it('mend what they are offered for', () => {
    const broken = setRole(sampleWorkflow, 'answerer', {
      ...sampleWorkflow.roles.answerer,
      prompt: { system: '', user: '{{question}} {{memory}}', few: [] },
    });
    const problem = lint(broken).find((one) => one.code === 'prompt-variable');
    const fixed = problem && fixOf(broken, problem)?.apply();
    expect(fixed && lint(fixed).some((one) => one.code === 'prompt-variable')).toBe(false);
    const unread = lint(broken).find((one) => one.code === 'unused' && one.at.role === 'answerer');
    const read = unread && fixOf(broken, unread)?.apply();
    expect(read?.roles.answerer.prompt.user).toContain('{{evidence}}');
    const bare = emptyWorkflow('a', 'A');
    const missing = lint(bare).find((one) => one.code === 'no-output');
    expect(missing && fixOf(bare, missing)?.apply().nodes[0].kind).toBe('output');
  });
  it('find the place, and mend in the group where the problem is', () => {
    const { workflow } = grouped(sampleWorkflow, ['decompose', 'retrieve'], {});
    const inner = insideOf(workflow, 'group')!;
    const role = { ...inner.roles.decomposer, prompt: { system: '', user: '{{question}} {{hint}}', few: [] } };
    const broken = withInside(workflow, 'group', setRole(inner, 'decomposer', role));
    const problem = lint(broken).find((one) => one.code === 'prompt-variable')!;
    expect(placeOf(broken, problem.at)).toBe('group.decompose');
    expect(faceOf(problem)).toBe('prompt');
    expect(Object.keys(problemsWithin(broken, lint(broken), ''))).toEqual(['group']);
    expect(Object.keys(problemsWithin(broken, lint(broken), 'group.'))).toEqual(['decompose']);
    const fixed = fixOf(broken, problem)!.apply();
    expect(lint(fixed).some((one) => one.code === 'prompt-variable')).toBe(false);
    const without = withInside(workflow, 'group', {
      ...inner,
      nodes: inner.nodes.filter((node) => node.kind !== 'input'),
    });
    const lost = lint(without).find((one) => one.code === 'no-input' && one.at.within)!;
    const mended = fixOf(without, lost)!.apply();
    expect(mended.nodes).toHaveLength(without.nodes.length);
    expect(mended.workflows?.group.nodes.some((node) => node.kind === 'input')).toBe(true);
  });
  it('let a role sample that could say only one thing', () => {
    const { answerer } = sampleWorkflow.roles;
    const greedy = setRole(sampleWorkflow, 'answerer', {
      ...answerer,
      sampling: { ...answerer.sampling, temperature: 0 },
    });
    const [problem] = castProblems(greedy, sharedCast(greedy, { model: 'nano', method: { kind: 'full' } }));
    expect(fixOf(greedy, problem)?.apply().roles.answerer.sampling.temperature).toBe(1);
    expect(placeOf(greedy, problem.at)).toBe('answer');
  });
});

describe('running up to a node', () => {
  it('keeps what feeds it and ends there, for every node of every template', () => {
    const part = upTo(sampleWorkflow, 'retrieve');
    expect(part.nodes.map((node) => node.id)).toEqual(['question', 'decompose', 'retrieve', 'here']);
    for (const name of templateNames) {
      const workflow = templateWorkflow(name);
      for (const node of workflow.nodes) {
        const errors = lint(upTo(workflow, node.id)).filter((problem) => problem.level === 'error');
        expect(
          errors.map((problem) => problem.message),
          `${name}, ${node.id}`,
        ).toEqual([]);
      }
    }
  });
  it('runs groups up to the node too, and leaves others that run the group alone', () => {
    const { workflow } = grouped(sampleWorkflow, ['decompose', 'retrieve'], {});
    const inner = insideOf(workflow, 'group')!;
    const nested = withInside(workflow, 'group', grouped(inner, ['decompose', 'retrieve'], {}).workflow);
    for (const path of ['group.group-2.decompose', 'group.group-2.retrieve', 'group.in', 'group']) {
      const part = upTo(nested, path);
      expect(
        lint(part).filter((problem) => problem.level === 'error'),
        path,
      ).toEqual([]);
      expect(part.nodes.map((node) => node.id)).not.toContain('answer');
    }
    const part = upTo(workflow, 'group.decompose');
    expect(part.workflows?.group).toEqual(workflow.workflows?.group);
    expect(part.nodes.at(-1)).toMatchObject({ kind: 'output', inputs: [{ name: 'queries' }] });
  });
});
