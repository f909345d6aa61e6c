import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRoute, routeHash, type Route } from './routes.ts';

const name = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
const route: fc.Arbitrary<Route> = fc.oneof(
  fc.constant({ screen: 'home' } as const),
  fc.constant({ screen: 'models' } as const),
  fc.record({ screen: fc.constant('team' as const), workflow: fc.option(name) }),
  fc.record({ screen: fc.constant('training' as const), run: fc.option(name) }),
  fc.record({
    screen: fc.constant('training' as const),
    run: fc.constant(null),
    compare: fc.uniqueArray(fc.stringMatching(/^[\w.-]{1,20}$/), { maxLength: 4 }),
  }),
  fc.record({
    screen: fc.constant('traces' as const),
    run: name,
    trace: fc.option(name),
    step: fc.option(fc.nat(999_999_999)),
  }),
);

describe('routes', () => {
  it('survive being written as an address and read back', () => {
    fc.assert(
      fc.property(route, (where) => {
        expect(parseRoute(routeHash(where))).toEqual(where);
      }),
    );
  });
  it('lead home from anything unknown', () => {
    expect(parseRoute('')).toEqual({ screen: 'home' });
    expect(parseRoute('#/nowhere/x')).toEqual({ screen: 'home' });
  });
  it('ignore broken escapes and steps that are no numbers', () => {
    expect(parseRoute('#/traces/%E0%A4%A/x?step=-1')).toEqual({ screen: 'traces', run: null, trace: 'x', step: null });
  });
});
