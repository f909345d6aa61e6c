/**
 * Turns that wait for a person at a screen: a role whose policy is a person is put to every screen that is connected, and
 * the first answer counts. It keeps them in the order they came and knows no screen; a reloaded one asks for what waits.
 */
import { Cancelled, UserError } from '../../engine/errors.ts';
import type { Turn } from '../protocol.ts';
import type { Outside } from '../run/answering.ts';

export type Turns = {
  /** What a place offers, with the screens to ask where nobody is nearer; `owner` names the question or the run. */
  outside(owner: string): Outside;
  waiting(): Turn[];
  /** Throws a UserError where the turn does not wait any more. */
  answer(id: string, text: string): void;
  /** Ends what waits for an owner: whoever asked gets `Cancelled`. */
  cancel(owner: string): void;
};

type Waiting = { turn: Turn; owner: string; settle(text: string): void; fail(error: Error): void };

export function openTurns(place: Outside | undefined, changed: (waiting: Turn[]) => void): Turns {
  let waiting: readonly Waiting[] = [];
  let asked = 0;
  const turns = (): Turn[] => waiting.map(({ turn }) => turn);
  const keep = (rest: readonly Waiting[]): void => {
    waiting = rest;
    changed(turns());
  };
  const ask = (owner: string): NonNullable<Outside['ask']> => {
    return (question) =>
      new Promise((settle, fail) => {
        keep([...waiting, { turn: { id: `turn-${++asked}`, ...question }, owner, settle, fail }]);
      });
  };
  return {
    outside: (owner) => ({ ask: ask(owner), ...place }),
    waiting: turns,
    answer: (id, text) => {
      const found = waiting.find(({ turn }) => turn.id === id);
      if (!found) throw new UserError('This turn was answered or ended already; nothing was sent');
      keep(waiting.filter((each) => each !== found));
      found.settle(text);
    },
    cancel: (owner) => {
      const ended = waiting.filter((each) => each.owner === owner);
      if (ended.length === 0) return;
      keep(waiting.filter((each) => each.owner !== owner));
      for (const { fail } of ended) fail(new Cancelled('The turn'));
    },
  };
}
