import { describe, expect, it } from 'vitest';
import { generator } from '../random.ts';
import '../tools/sandbox/register.node.ts';
import { unitTests } from '../tools/unit-tests.ts';
import { loadTask } from './index.ts';
import { drawExamples, drawFunction, functionsOf, programOf, type VillageFunction } from './village-functions.ts';

const all = Object.values(functionsOf).flat();
const settings = unitTests.settings.parse({});
const task = await loadTask({ name: 'village-code' });
const functionOf = (program: string) => all.find((each) => programOf(each) === program)!;

/** The share of a problem's hidden tests that a program passes in the sandbox. */
async function rate(program: string, tests: unknown): Promise<unknown> {
  const context = { corpus: null, paragraphs: [] };
  return (await unitTests.run({ program, tests: tests as string[] }, settings, context))['rate'];
}

describe('the functions of the village', () => {
  it('are told apart by any examples that are drawn', () => {
    const random = generator(3);
    for (let i = 0; i < 500; i += 1) {
      const wanted = drawFunction(random);
      const shown = drawExamples(random, wanted, 3);
      const hidden = drawExamples(random, wanted, 4, shown);
      expect(new Set([...shown, ...hidden].map(({ args }) => args.join())).size).toBe(7);
      for (const examples of [shown, hidden]) {
        const agree = (each: VillageFunction) =>
          examples.every(({ args, result }) => args.length === each.parameters.length && each.of(args) === result);
        expect(all.filter(agree)).toEqual([wanted]);
      }
    }
  });

  it('give whole numbers that are not below zero, each function one plan', () => {
    for (const each of all)
      for (const args of each.inputs) expect(Number.isInteger(each.of(args)) && each.of(args) >= 0).toBe(true);
    expect(new Set(all.map(({ plan }) => plan)).size).toBe(all.length);
  });
});

describe('village-code', () => {
  it('is the same for the same seed and another for another', async () => {
    expect((await loadTask({ name: 'village-code' })).heldOut).toEqual(task.heldOut);
    const other = await loadTask({ name: 'village-code', options: { seed: 1 } });
    expect(other.heldOut).not.toEqual(task.heldOut);
    await expect(loadTask({ name: 'village-code', options: { sed: 1 } })).rejects.toThrow(
      'no option of this name: sed',
    );
  });

  it('holds out whole functions where they have a constant, and new problems everywhere', () => {
    const trained = new Set(task.train.map(({ answers }) => answers[0]));
    const held = new Set(task.heldOut.map(({ answers }) => answers[0]));
    for (const program of held) expect(trained.has(program), program).toBe(functionOf(program).parameters.length === 2);
    const questions = [...task.train, ...task.heldOut].map(({ question }) => question);
    expect(new Set(questions).size).toBe(questions.length);
    expect(new Set([...task.train, ...task.heldOut].map(({ id }) => id)).size).toBe(questions.length);
    expect([task.train.length, task.heldOut.length]).toEqual([382, 118]);
  });

  it('is passed by its own solutions in the sandbox, and by no other function', async () => {
    const random = generator(5);
    for (const { answers, values } of task.heldOut.slice(0, 24)) {
      expect(await rate(answers[0], values!['tests'])).toBe(1);
      const other = drawFunction(random);
      if (programOf(other) !== answers[0]) expect(await rate(programOf(other), values!['tests'])).toBeLessThan(1);
    }
  });
});
