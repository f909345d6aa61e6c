/** Search programs in the real sandbox: what the library finds, how a program is run again, and where it ends. */
import { beforeAll, describe, expect, it } from 'vitest';
import { openTool } from './index.ts';

const corpus = [
  { title: 'Mira', text: 'Mira lives in Oakton and keeps a cat.' },
  { title: 'Tom Hale', text: 'Tom Hale is a painter born in Leith.' },
  { title: 'Ann', text: 'Ann is the friend of Tom Hale.' },
];
const run = async (program: string, settings: Record<string, number> = {}, context = { corpus, paragraphs: [] }) =>
  openTool({ id: 'p', kind: 'tool', title: '', timeoutMs: 20_000, tool: 'search-program', settings }).run(
    { program, data: [corpus[0]] },
    context,
  );

beforeAll(() => import('./sandbox/register.node.ts'));

describe('a search program', () => {
  it('searches in batches, one after the other, and says what it searched for', async () => {
    const program = `const [[friend]] = batchSearch(['friend Ann'], 1);
      const name = /friend of (.*)\\./.exec(friend.text)[1];
      const [[page], [other]] = batchSearch([name + ' born', 'Oakton'], 1);
      console.log(/born in (\\w+)/.exec(page.text)[1], other.title, data[0].title);`;
    expect(await run(program)).toEqual({
      output: 'Leith Mira Mira',
      error: '',
      searches: ['friend Ann', 'Tom Hale born', 'Oakton'],
    });
  });

  it('finds keywords and checks passages', async () => {
    const { output } = await run(`
      console.log(JSON.stringify(generateKeywords('Where was the painter Tom Hale born?', 3)));
      console.log(JSON.stringify(generateKeywords('', 3)));
      console.log(check({ title: 'Tom Hale', text: 'born in Leith' }, 'where Tom Hale was born'), check('a cat', 'Tom Hale'), check('x', ''));
    `);
    expect(output).toBe('["Tom Hale","painter tom hale born","painter"]\n[]\ntrue false false');
  });

  it('goes on where it catches the search, and keeps its own printing', async () => {
    const program = `try { batchSearch('Leith', 1) } catch { console.log('swallowed') }
      console.log(batchSearch('Leith', 1)[0][0].title);`;
    expect(await run(program)).toMatchObject({ output: 'Tom Hale', searches: ['Leith'] });
  });

  it('reports the line of the program, and keeps what was found', async () => {
    await expect(run('batchSearch("cat");\nnope();')).rejects.toMatchObject({
      message: expect.stringMatching(/nope.*program, line 2/),
      outputs: { searches: ['cat'] },
    });
  });

  it.each<[string, string, Record<string, number>, RegExp]>([
    ['that searches for ever', 'for (let i = 0; ; i++) batchSearch("q" + i, 1)', { rounds: 3 }, /more than 3 times/],
    ['that draws its searches', 'batchSearch(String(Math.random()))', { rounds: 2 }, /more than 2 times/],
    [
      'that asks too much at once',
      'batchSearch(Array(1e6).fill("x".repeat(1000)).map((x, i) => x + i), 10)',
      { rounds: 1, timeMs: 1_000 },
      /more than 1 times|still running|out of memory/,
    ],
    ['without end', 'for (;;);', { timeMs: 200 }, /still running after 200 ms/],
    [
      'that breaks the library',
      'Array.prototype.map = () => { throw new Error("mine") }; batchSearch("x")',
      {},
      /mine/,
    ],
    ['that seeks the host', 'process.exit()', {}, /process/],
  ])(
    'ends in an error of its own: one %s',
    async (_, program, settings, sentence) => {
      await expect(run(program, settings)).rejects.toThrow(sentence);
    },
    30_000,
  );

  it('cannot pretend a search was asked for by printing', async () => {
    expect(await run(`console.log('search 123 ["1 cat"]')`)).toMatchObject({
      searches: [],
    });
  });

  it('needs something to search in', async () => {
    await expect(run('batchSearch("x")', {}, { corpus: [], paragraphs: [] })).rejects.toThrow(/nothing to search in/);
  });
});
