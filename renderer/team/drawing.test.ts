/** What can be drawn, as plain functions: edits, wires, new nodes, copies, groups, the outline, and the repairs offered. */
import { describe, expect, it } from 'vitest';
import { lint } from '../../workflows/schema/lint.ts';
import { parseWorkflow } from '../../workflows/schema/migrate.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { templateNames, templateWorkflow } from '../../workflows/templates/index.ts';
import { sampleWorkflow } from '../testing/sample-workflow.ts';
import { copied, looksCopied, pasted } from './clipboard.ts';
import { connect, disconnect, move, removeNodes, renameNode, renameRole, setRole } from './edits.ts';
import { addPort, removePort, renameBranch, renamePort, setField, withBranch, withoutBranch } from './port-edits.ts';
import { fixOf } from './fixes.ts';
import { grouped, insideOf, ungrouped, withInside } from './groups.ts';
import { freeName, slug } from './names.ts';
import { addChoice, choices } from './new-node.ts';
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
      ['compute', 'input', 'join', 'loop', 'memory', 'output', 'role', 'router', 'tool'].sort(),
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
    const { workflow, id } = renameNode(before, 'retrieve', 'Find pages!');
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
  it('lose outer wires to ports that are gone inside', () => {
    const { workflow } = grouped(sampleWorkflow, ['decompose', 'retrieve'], {});
    const inner = insideOf(workflow, 'group');
    const renamed = inner && renamePort(inner, 'out', 'passages', 'pages');
    const next = renamed && withInside(workflow, 'group', renamed);
    expect(next?.edges.some((edge) => edge.from.port === 'passages')).toBe(false);
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
});
