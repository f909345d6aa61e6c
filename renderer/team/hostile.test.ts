/**
 * Damaged, truncated, hostile and future workflow files, copied nodes and journals, taken in as the editor takes them: each is
 * refused with one sentence, or opens to something that can be drawn, listed, checked and counted in bounded time.
 */
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { castProblems } from '../../workflows/schema/lint-cast.ts';
import { lint } from '../../workflows/schema/lint.ts';
import { parseWorkflow } from '../../workflows/schema/migrate.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { templateWorkflow } from '../../workflows/templates/index.ts';
import { jsonBytes, textOf } from '../../workflows/workspace/layout.ts';
import { damaged, numbersFrom } from '../../workflows/workspace/mutator.ts';
import { arrange } from '../graph/scene.ts';
import { problemsWithin } from './card-problems.ts';
import { meaning, offers, seated, type Base } from './cast-board.ts';
import { copied, looksCopied, pasted } from './clipboard.ts';
import { fixOf } from './fixes.ts';
import { grouped, insideOf } from './groups.ts';
import { begin, edit, present } from './history.ts';
import { historyOf, writesFor, type Row } from './journal.ts';
import { choices } from './new-node.ts';
import { outline } from './outline.ts';
import { pathsOf } from './paths.ts';
import { recordCounts } from './record-counts.ts';
import { teamScene } from './team-scene.ts';
import { upTo } from './up-to.ts';
import { verdicts } from './wires.ts';

const base: Base = { model: 'nano', method: { kind: 'full' } };
const longestMs = 15_000;

const withGroup = (name: string): Workflow => {
  const team = templateWorkflow(name);
  const [a, b] = team.nodes.filter((node) => node.kind === 'role' || node.kind === 'tool');
  return grouped({ ...team, layout: { [a.id]: { x: 0, y: 0 } } }, [a.id, b.id], {
    [a.id]: { x: 0, y: 0 },
    [b.id]: { x: 200, y: 0 },
  }).workflow;
};
const files: readonly Workflow[] = [
  withGroup('qd-answer'),
  templateWorkflow('m-ask'),
  templateWorkflow('workflow-generator'),
  templateWorkflow('coder-verifier'),
];

/** All that the screen works out of a team before anybody touches it, and the menus and fixes it would offer. */
function drawn(workflow: Workflow): void {
  const cast = seated(null, workflow, base);
  for (const part of [workflow, ...Object.keys(workflow.workflows ?? {}).map((name) => insideOf(workflow, name)!)]) {
    const scene = teamScene(part, cast);
    arrange(scene, undefined, 'LR');
    outline(part, new Set(part.nodes.map(({ id }) => id)));
    choices(part, null);
    const [first] = scene.cards;
    const port = first?.ports.outputs[0];
    if (port) verdicts(part, { node: first.id, side: 'out', port: port.name });
  }
  const problems = [...lint(workflow), ...castProblems(workflow, cast)];
  problemsWithin(workflow, problems, '');
  for (const problem of problems.slice(0, 20)) fixOf(workflow, problem)?.apply();
  meaning(cast, [], recordCounts(workflow));
  offers(workflow, base);
  for (const [path] of pathsOf(workflow).slice(0, 20))
    try {
      upTo(workflow, path);
    } catch (failure) {
      if (!(failure instanceof UserError)) throw failure;
    }
}

function judge(failure: unknown, what: string): void {
  if (!(failure instanceof UserError) && !(failure instanceof SyntaxError))
    throw new Error(`${what}: not a sentence for people`, { cause: failure });
  if (failure instanceof SyntaxError) return; // the screen has its own sentence for what is no JSON
  expect(failure.message, what).not.toMatch(/\n|undefined|\[object|RangeError|TypeError/);
  expect(failure.message.length, what).toBeLessThan(500);
}

function opened(text: string, what: string): boolean {
  const began = performance.now();
  try {
    const workflow = parseWorkflow(JSON.parse(text));
    drawn(workflow);
    return true;
  } catch (failure) {
    judge(failure, what);
    return false;
  } finally {
    expect(performance.now() - began, what).toBeLessThan(longestMs);
  }
}

describe('files that are not what they should be', () => {
  it('are 1,200 teams that open to a drawing or are refused in a sentence', () => {
    let refused = 0;
    for (const [at, workflow] of files.entries()) {
      const bytes = jsonBytes(workflow);
      expect(opened(textOf(bytes), workflow.name)).toBe(true);
      for (let n = 0; n < 300; n++) {
        const seed = at * 1_000 + n;
        if (!opened(textOf(damaged(bytes, 'team.json', numbersFrom(seed))), `${workflow.name}, seed ${seed}`))
          refused++;
      }
    }
    expect(refused).toBeGreaterThan(600);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  }, 300_000);

  it('are 300 copies of nodes, of which none harms the team they are pasted into', () => {
    const [team] = files;
    const text = copied(
      team,
      team.nodes.map(({ id }) => id),
      {},
    );
    const bytes = new TextEncoder().encode(text);
    let taken = 0;
    for (let seed = 0; seed < 300; seed++) {
      const other = textOf(damaged(bytes, 'part.json', numbersFrom(seed)));
      if (!looksCopied(other)) continue;
      try {
        const next = pasted(team, other, null);
        drawn(next.workflow);
        expect(next.workflow.nodes.length).toBeGreaterThan(team.nodes.length);
        expect(next.workflow.nodes.slice(0, team.nodes.length)).toEqual(team.nodes);
        taken++;
      } catch (failure) {
        judge(failure, `seed ${seed}`);
      }
    }
    expect(taken).toBeGreaterThan(0);
  }, 120_000);

  it('are 300 journals, from which the last good state comes back or none', () => {
    const [team] = files;
    let history = begin({ workflow: team, cast: seated(null, team, base) });
    for (const title of ['A', 'B', 'C'])
      history = edit(history, { ...present(history), workflow: { ...team, title } }, '', 0);
    const rows = JSON.parse(JSON.stringify(writesFor(null, history).put)) as Row[];
    expect(historyOf(rows)?.states).toHaveLength(4);
    let lost = 0;
    for (let seed = 0; seed < 300; seed++) {
      let broken: unknown;
      try {
        broken = JSON.parse(textOf(damaged(jsonBytes(rows), 'rows.json', numbersFrom(seed))));
      } catch {
        continue; // the database keeps values, not text
      }
      const list = (Array.isArray(broken) ? broken : []).filter(
        (row): row is Row => row !== null && typeof row === 'object',
      );
      const back = historyOf(list);
      if (back === null) lost++;
      else drawn(present(back).workflow);
    }
    expect(lost).toBeGreaterThan(0);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  }, 120_000);
});
