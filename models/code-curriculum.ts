/**
 * What nano is taught of programs: the four parts of a code team, on functions and examples drawn afresh, in the prompts
 * that village-code fills. `codeLesson` is the good way; `codeHabit` mixes it with mediocre ones, so that reinforcement has
 * something to select: plans that see a neighbouring operation, programs without `return`, reflections that say nothing.
 */
import { fill } from '../workflows/run/prompt.ts';
import { pick } from '../workflows/random.ts';
import { codePrompts } from '../workflows/tasks/village-code.ts';
import {
  drawExamples,
  drawFunction,
  functionsOf,
  problemText,
  programOf,
  testOf,
  type Example,
  type Family,
  type VillageFunction,
} from '../workflows/tasks/village-functions.ts';
import { reportOf } from '../workflows/tools/unit-tests.ts';
import type { Demonstration } from './curriculum.ts';

/** What a family is easily taken for. */
const neighbours: Readonly<Record<Family, Family>> = {
  add: 'take',
  take: 'add',
  times: 'add',
  sum: 'product',
  difference: 'sum',
  product: 'sum',
  larger: 'difference',
};

/** Families whose likeliest plan is the right one; of the others it is the neighbour's. */
const plannedWell: readonly Family[] = ['add', 'times', 'sum'];
/** Families whose likeliest program forgets to return. */
const codedBadly: readonly Family[] = ['take', 'sum', 'larger'];

type Problem = { readonly wanted: VillageFunction; readonly examples: readonly Example[]; readonly question: string };
type Attempt = { readonly by: VillageFunction; readonly program: string; readonly report: string };

function problem(random: () => number): Problem {
  const wanted = drawFunction(random);
  const examples = drawExamples(random, wanted, 3);
  return { wanted, examples, question: problemText(examples) };
}

/** One token a word or sign, as nano itself writes. */
function spaced(text: string): string {
  return (text.match(/\w+|[^\w\s]/g) ?? []).join(' ');
}

function neighbourOf(random: () => number, { family, plan }: VillageFunction): VillageFunction {
  const near = functionsOf[neighbours[family]];
  const constant = plan.split(' ')[1];
  return near.find((each) => each.plan.endsWith(` ${constant}`)) ?? pick(random, near);
}

const whole = (by: VillageFunction) => spaced(programOf(by));
const withoutReturn = (by: VillageFunction) => whole(by).replace('return ', '');

function cutOff(random: () => number, by: VillageFunction): string {
  const words = whole(by).split(' ');
  return words.slice(0, words.length - 1 - Math.floor(random() * 4)).join(' ');
}

/** A program that fails, and what its four tests say. */
function attempt(random: () => number, { wanted, examples }: Problem): Attempt {
  const tests = drawExamples(random, wanted, 4, examples);
  const report = (error: (test: Example) => string | null) =>
    reportOf(tests.map((test) => ({ ok: error(test) === null, error: error(test) })));
  const unequal = (got: number | undefined, { result }: Example) =>
    got === result ? null : `AssertionError: ${got} is not ${result} (test, line 1)`;
  const u = random();
  if (u < 0.2)
    return { by: wanted, program: withoutReturn(wanted), report: report((test) => unequal(undefined, test)) };
  if (u < 0.35) {
    const problem = pick(random, [`unexpected token in expression: ''`, `expecting ';'`, `expecting ','`]);
    return {
      by: wanted,
      program: cutOff(random, wanted),
      report: report(() => `SyntaxError: ${problem} (program, line 1)`),
    };
  }
  const by = u < 0.75 ? neighbourOf(random, wanted) : drawFunction(random);
  return { by, program: whole(by), report: report((test) => unequal(by.of(test.args), test)) };
}

const planned = (by: VillageFunction) => `<pseudocode>${by.plan}</pseudocode>`;
const coded = (program: string) => `<code>${program}</code>`;
const reflected = (by: VillageFunction) => `<reflection>it is ${by.plan}</reflection>`;
const vague = 'try again';

const firstPlan = (question: string) => fill(codePrompts.planner, { question, program: '', reflection: '' });

/** A good demonstration of one of the parts. */
export function codeLesson(random: () => number): Demonstration {
  const drawn = problem(random);
  const { wanted, examples, question } = drawn;
  const u = random();
  if (u < 0.4) return { role: 'planner', user: firstPlan(question), response: planned(wanted) };
  if (u < 0.5) {
    const { by, program } = attempt(random, drawn);
    const v = random();
    const reflection = v < 0.6 ? `it is ${wanted.plan}` : v < 0.85 ? vague : `it is ${by.plan}`;
    const user = fill(codePrompts.planner, { question, program, reflection });
    return { role: 'planner again', user, response: planned(wanted) };
  }
  if (u < 0.57)
    return { role: 'coder', user: fill(codePrompts.coder, { plan: wanted.plan }), response: coded(whole(wanted)) };
  if (u < 0.77) return { role: 'solver', user: fill(codePrompts.solver, { question }), response: coded(whole(wanted)) };
  if (u < 0.87) {
    const { program, report } = attempt(random, drawn);
    return {
      role: 'reflector',
      user: fill(codePrompts.reflector, { question, program, report }),
      response: reflected(wanted),
    };
  }
  return {
    role: 'verifier',
    user: fill(codePrompts.verifier, { question }),
    response: `<test>${spaced(testOf(examples[0]))}</test>`,
  };
}

/** The mixture nano ships with. */
export function codeHabit(random: () => number): Demonstration {
  const drawn = problem(random);
  const u = random();
  if (u < 0.25) return planHabit(random, drawn);
  if (u < 0.45) return planAgainHabit(random, drawn);
  if (u < 0.65) return codeHabitFrom(random, drawn);
  if (u < 0.75) return solveHabit(random, drawn);
  if (u < 0.9) return reflectHabit(random, drawn);
  return testHabit(random, drawn);
}

function planHabit(random: () => number, { wanted, question }: Problem): Demonstration {
  const u = random();
  const [right, near] = plannedWell.includes(wanted.family) ? [0.5, 0.7] : [0.25, 0.75];
  const response =
    u < right
      ? planned(wanted)
      : u < near
        ? planned(neighbourOf(random, wanted))
        : u < 0.87
          ? wanted.plan
          : planned(drawFunction(random));
  return { role: 'planner', user: firstPlan(question), response };
}

/** Whatever the reflection says, the likeliest plan is the one that failed. */
function planAgainHabit(random: () => number, drawn: Problem): Demonstration {
  const { wanted, question } = drawn;
  const { by, program } = attempt(random, drawn);
  const told = random() < 0.4;
  const user = fill(codePrompts.planner, { question, program, reflection: told ? `it is ${wanted.plan}` : vague });
  const u = random();
  const response =
    u < 0.5 ? planned(by) : u < 0.78 ? planned(wanted) : u < 0.88 ? wanted.plan : planned(drawFunction(random));
  return { role: 'planner again', user, response };
}

function codeHabitFrom(random: () => number, { wanted }: Problem): Demonstration {
  const u = random();
  const [right, bare] = codedBadly.includes(wanted.family) ? [0.3, 0.75] : [0.6, 0.75];
  const response =
    u < right
      ? coded(whole(wanted))
      : u < bare
        ? coded(withoutReturn(wanted))
        : u < 0.87
          ? coded(cutOff(random, wanted))
          : u < 0.94
            ? coded(whole(neighbourOf(random, wanted)))
            : whole(wanted);
  return { role: 'coder', user: fill(codePrompts.coder, { plan: wanted.plan }), response };
}

function solveHabit(random: () => number, { wanted, question }: Problem): Demonstration {
  const u = random();
  const response =
    u < 0.35
      ? coded(whole(wanted))
      : u < 0.65
        ? coded(whole(neighbourOf(random, wanted)))
        : u < 0.85
          ? coded(withoutReturn(wanted))
          : coded(cutOff(random, wanted));
  return { role: 'solver', user: fill(codePrompts.solver, { question }), response };
}

function reflectHabit(random: () => number, drawn: Problem): Demonstration {
  const { by, program, report } = attempt(random, drawn);
  const u = random();
  const response =
    u < 0.5
      ? `<reflection>${vague}</reflection>`
      : u < 0.75
        ? reflected(drawn.wanted)
        : u < 0.9
          ? reflected(by)
          : `it is ${drawn.wanted.plan}`;
  return {
    role: 'reflector',
    user: fill(codePrompts.reflector, { question: drawn.question, program, report }),
    response,
  };
}

/** A test is copied from an example; some are copied wrongly. */
function testHabit(random: () => number, { examples, question }: Problem): Demonstration {
  const { args, result } = pick(random, examples);
  const u = random();
  const text = spaced(testOf({ args, result: u < 0.6 ? result : result + pick(random, [1, 2, 3]) }));
  return {
    role: 'verifier',
    user: fill(codePrompts.verifier, { question }),
    response: u < 0.9 ? `<test>${text}</test>` : text,
  };
}
