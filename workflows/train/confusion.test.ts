import { describe, expect, it } from 'vitest';
import type { TraceRecord } from '../schema/trace.ts';
import { templateWorkflow } from '../templates/index.ts';
import { roleConfusion } from './confusion.ts';

const { roles } = templateWorkflow('qd-answer');
const said = (role: string, text: string, finish = 'stop') => ({ role, text, finish }) as TraceRecord;

describe('role confusion', () => {
  it('is the share of one role’s texts that are legal as another’s', () => {
    const records = [
      said('answerer', 'Leith'),
      said('answerer', '<q>Leith</q>'),
      said('answerer', '<q>never ended'),
      said('answerer', '<q>Leith</q>', 'length'),
      said('decomposer', '<q>Leith</q>'),
    ];
    expect(roleConfusion(records, roles)).toEqual({ answerer: { 'confusion/decomposer': 0.25 }, decomposer: {} });
  });

  it('is not counted where the formats are the same, or a role never spoke', () => {
    const twins = { one: roles.decomposer, other: { ...roles.decomposer, title: 'Other' } };
    expect(roleConfusion([said('one', 'x'), said('other', 'x')], twins)).toEqual({ one: {}, other: {} });
    expect(roleConfusion([said('answerer', 'x')], roles)).toEqual({ answerer: {} });
  });
});
