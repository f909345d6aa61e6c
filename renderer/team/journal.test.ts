/** The undo stack and its journal: whatever is edited, undone and redone comes back from what was written. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleWorkflow } from '../testing/sample-workflow.ts';
import { sharedCast } from './cast-board.ts';
import { move, removeNodes, renameNode } from './edits.ts';
import { begin, canRedo, edit, present, redo, undo, type History } from './history.ts';
import { historyOf, writesFor, type Row, type RowKey, type Writes } from './journal.ts';
import { diff, patched } from './patch.ts';
import { emptyWorkflow, type Team } from './team.ts';

const cast = sharedCast(sampleWorkflow, { model: 'nano', method: { kind: 'full' } });
const start: Team = { workflow: sampleWorkflow, cast };

/** Rows as the database keeps them. */
function written(rows: Map<RowKey, unknown>, { put, cut, drop }: Writes): void {
  for (const key of [...rows.keys()])
    if (typeof key === 'number' && ((cut !== undefined && key >= cut) || (drop !== undefined && key <= drop)))
      rows.delete(key);
  for (const { key, value } of put) rows.set(key, JSON.parse(JSON.stringify(value)) as unknown);
}
const rowsOf = (rows: Map<RowKey, unknown>): Row[] => [...rows].map(([key, value]) => ({ key, value }));

describe('patches', () => {
  it('lead from any document to any other', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), (before, after) => {
        const changes = JSON.parse(JSON.stringify(diff(before, after))) as ReturnType<typeof diff>;
        expect(JSON.stringify(patched(before, changes))).toBe(JSON.stringify(after));
      }),
      { numRuns: 400, examples: [[JSON.parse('{"__proto__":false}'), {}]] },
    );
  });
  it('are small for a small edit', () => {
    const moved = move(sampleWorkflow, { answer: { x: 10, y: 20 } });
    expect(diff(sampleWorkflow, moved)).toEqual([{ path: ['layout', 'answer'], value: { x: 10, y: 20 } }]);
    const removed = removeNodes(sampleWorkflow, ['result']);
    expect(diff(sampleWorkflow, removed)).toContainEqual({ path: ['nodes'], at: 4, cut: 1, put: [] });
  });
});

describe('journal', () => {
  const edits: ((team: Team, n: number) => Team)[] = [
    (team, n) => ({ ...team, workflow: move(team.workflow, { answer: { x: n, y: n } }) }),
    (team, n) => ({ ...team, workflow: { ...team.workflow, title: `T${n}` } }),
    (team, n) => ({ ...team, workflow: renameNode(team.workflow, team.workflow.nodes[0]?.id ?? '', `N${n}`).workflow }),
    (team, n) => ({ ...team, workflow: removeNodes(team.workflow, [team.workflow.nodes[n % 5]?.id ?? '']) }),
    (team, n) => ({ ...team, cast: { ...team.cast, name: `c${n}` } }),
  ];
  it('gives back every step after any edits, undos and redos', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('edit', 'type', 'undo', 'redo'), fc.nat(4)), { maxLength: 60 }),
        (moves) => {
          const rows = new Map<RowKey, unknown>();
          let history: History<Team> = begin(start);
          written(rows, writesFor(null, history));
          moves.forEach(([what, which], n) => {
            const next =
              what === 'undo'
                ? undo(history)
                : what === 'redo'
                  ? redo(history)
                  : edit(history, edits[which](present(history), n), what === 'type' ? 'typing' : '', n);
            written(rows, writesFor(history, next));
            history = next;
          });
          const back = historyOf(rowsOf(rows));
          expect(back?.shown).toBe(history.shown);
          expect(back?.states).toEqual(history.states);
        },
      ),
      { numRuns: 120 },
    );
  });
  it('goes on when the oldest steps are forgotten', () => {
    const rows = new Map<RowKey, unknown>();
    let history: History<Team> = begin(start);
    written(rows, writesFor(null, history));
    for (let n = 1; n <= 620; n++) {
      const next = edit(history, { ...start, workflow: { ...sampleWorkflow, title: `T${n}` } }, '', n);
      written(rows, writesFor(history, next));
      history = next;
    }
    expect(history.first).toBeGreaterThan(0);
    const back = historyOf(rowsOf(rows));
    expect(back?.states).toEqual(history.states);
    expect(rows.size).toBe(history.states.length - 1 + 2);
  });
  it('keeps an empty canvas, and leaves out what follows a damaged step', () => {
    const empty = { workflow: emptyWorkflow('a', 'A'), cast };
    const rows = new Map<RowKey, unknown>();
    let history = begin<Team>(empty);
    written(rows, writesFor(null, history));
    for (const title of ['B', 'C', 'D']) {
      const next = edit(history, { ...empty, workflow: { ...empty.workflow, title } }, '', 0);
      written(rows, writesFor(history, next));
      history = next;
    }
    rows.set(2, [{ path: ['workflow', 'nodes', 'x'], at: 0, cut: 0, put: [] }]);
    const back = historyOf(rowsOf(rows));
    expect(back && present(back).workflow.title).toBe('B');
    expect(back && canRedo(back)).toBe(false);
    rows.set('base', { first: 0, team: { workflow: 'nonsense' } });
    expect(historyOf(rowsOf(rows))).toBeNull();
    expect(historyOf([])).toBeNull();
  });
});
