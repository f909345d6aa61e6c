import { describe, expect, it } from 'vitest';
import { templateWorkflow } from '../templates/index.ts';
import { presetCast } from '../train/cast.ts';
import { castProblems } from './lint-cast.ts';

const workflow = templateWorkflow('qd-answer');
const cast = presetCast(workflow, 'separate', 'nano', { kind: 'full' });

describe('problems of a cast', () => {
  it('are none where every role is played and learns', () => {
    expect(castProblems(workflow, cast)).toEqual([]);
    expect(castProblems({ roles: {} }, cast)).toEqual([]);
  });

  it('are roles that nobody plays', () => {
    const { answerer: _, ...roles } = cast.roles;
    const gone = { ...cast, roles: { ...roles, decomposer: 'nobody' } };
    expect(castProblems(workflow, gone)).toMatchObject([
      { level: 'error', code: 'no-policy', at: { role: 'decomposer' } },
      { level: 'error', code: 'no-policy', at: { role: 'answerer' } },
    ]);
  });

  it('are policies of which none learns, and roles that have no choice', () => {
    const frozen = Object.fromEntries(
      Object.entries(cast.policies).map(([name, one]) => [name, { ...one, frozen: true }]),
    );
    expect(castProblems(workflow, { ...cast, policies: frozen })).toMatchObject([{ code: 'untrainable', at: {} }]);
    const { decomposer } = workflow.roles;
    const greedy = { ...decomposer, sampling: { ...decomposer.sampling, temperature: 0 } };
    expect(castProblems({ roles: { ...workflow.roles, decomposer: greedy } }, cast)).toMatchObject([
      { level: 'warning', code: 'untrainable', at: { role: 'decomposer' } },
    ]);
  });
});
