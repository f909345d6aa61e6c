/** The order of an engine's calls: one after another, generation joined, nothing overtaken, cancelling by name. */
import { describe, expect, it } from 'vitest';
import { Calls, type Session } from './calls.ts';

/** Answers whoever asks in the order they came, a turn of the event loop for each; `log` says when. */
class Answering implements Session {
  readonly #asked: (() => void)[] = [];
  readonly log: string[];

  constructor(log: string[]) {
    this.log = log;
    log.push('begin');
  }

  get busy(): boolean {
    return this.#asked.length > 0;
  }

  ask(name: string): Promise<string> {
    if (name === 'bad') return Promise.reject(new Error('bad'));
    return new Promise((resolve) => this.#asked.push(() => resolve(name)));
  }

  async run(): Promise<void> {
    while (this.busy) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      this.#asked.shift()!();
    }
  }
}

function calls(): { log: string[]; calls: Calls<Answering>; ask(name: string, call?: string): Promise<string> } {
  const log: string[] = [];
  const all = new Calls<Answering>();
  const ask = async (name: string, call?: string): Promise<string> => {
    const answer = await all.join(() => new Answering(log), (session) => session.ask(name), call); // prettier-ignore
    log.push(answer);
    return answer;
  };
  return { log, calls: all, ask };
}

describe('Calls', () => {
  it('lets generation join generation, and nothing overtake what was asked for before', async () => {
    const { log, calls: all, ask } = calls();
    const update = (name: string): Promise<unknown> => all.exclusive(() => log.push(name));
    const late = [update('before'), ask('a').then(() => ask('joined late')), ask('b')];
    await Promise.all(late);
    await Promise.all([ask('c'), update('between'), ask('d')]);
    expect(log).toEqual(['before', 'begin', 'a', 'b', 'joined late', 'begin', 'c', 'between', 'begin', 'd']);
  });

  it('tells a bad call alone', async () => {
    const { ask } = calls();
    const [bad, good] = await Promise.allSettled([ask('bad'), ask('good')]);
    expect(bad.status).toBe('rejected');
    expect(good).toMatchObject({ value: 'good' });
  });

  it('forgets a cancelled name once the last call of that name has ended', async () => {
    const { calls: all, ask } = calls();
    const both = [ask('a', 'x'), ask('b', 'x')];
    all.cancel('x');
    all.cancel('nobody');
    await both[0];
    expect(all.cancelled('x')).toBe(true);
    await both[1];
    expect(all.cancelled('x')).toBe(false);
    expect(all.cancelled('nobody')).toBe(false);
  });
});
