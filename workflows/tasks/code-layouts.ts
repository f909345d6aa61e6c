/**
 * Programming tasks as published: HumanEval, HumanEval-X and MBXP (MBPP in several languages). The prompt is the question;
 * the tests are data of the question, handed to the tool that runs them; the gold answer is the canonical solution.
 */
import { UserError } from '../../engine/errors.ts';
import { maxQuestionChars, readId } from './fields.ts';
import { fieldText, type Line } from './jsonl.ts';
import type { Query } from './task.ts';

const maxProgramChars = 100_000;
export const codeLanguages = ['python', 'javascript'] as const;

/** Whether a row is one of theirs: a task_id, a prompt to complete and tests. */
export function isCodeRow(row: Readonly<Record<string, unknown>>): boolean {
  return ['task_id', 'prompt', 'test'].every((field) => typeof row[field] === 'string');
}

/**
 * values: `language`; `prompt`, which a completion follows; `entry_point`, the function's name; `tests`, a program that
 * throws where a test fails when it stands behind prompt and completion; `example_tests`, the prompt's own examples, or "".
 */
export function readCode(line: Line, name: string): Query {
  const prompt = fieldText(line, name, 'prompt', maxQuestionChars);
  const test = fieldText(line, name, 'test', maxProgramChars);
  const language = languageOf(line, name);
  const entryPoint = entryPointOf(line, prompt, name);
  const optional = (field: string) =>
    line.value[field] === undefined || line.value[field] === null
      ? ''
      : fieldText(line, name, field, maxProgramChars, true);
  return {
    id: readId(line, name, ['task_id']),
    question: prompt,
    // Some rows of MBXP have no solution; what counts is the tests.
    answers: [optional('canonical_solution')],
    values: {
      language,
      prompt,
      entry_point: entryPoint,
      tests: callsCheck(test) ? `${test.trimEnd()}\n\ncheck(${entryPoint})\n` : test,
      example_tests: optional('example_test'),
    },
  };
}

/** HumanEval's Python tests only define `check(candidate)`; the others run when loaded. */
function callsCheck(test: string): boolean {
  return /^def check\(/mu.test(test) && !/^check\(/mu.test(test);
}

function languageOf(line: Line, name: string): (typeof codeLanguages)[number] {
  const { value } = line;
  const family = String(value['task_id']).split('/')[0].toLowerCase();
  const known: Readonly<Record<string, string>> = { humaneval: 'python', mbpp: 'python', mbjsp: 'javascript' };
  const given = typeof value['language'] === 'string' ? value['language'].toLowerCase() : (known[family] ?? family);
  const found = codeLanguages.find((language) => language === given);
  if (found !== undefined) return found;
  throw new UserError(
    `${name}, line ${line.number}: programs in this language cannot be run: ${given.slice(0, 40)}; use a file of ${codeLanguages.join(' or ')} tasks`,
  );
}

/** HumanEval-X does not name the function: its declaration or prompt does. */
function entryPointOf(line: Line, prompt: string, name: string): string {
  const given = line.value['entry_point'];
  if (typeof given === 'string' && /^[A-Za-z_$][\w$]{0,199}$/u.test(given)) return given;
  const text = typeof line.value['declaration'] === 'string' ? line.value['declaration'] : prompt;
  const found = [...text.matchAll(/(?:\bconst\s+([\w$]+)\s*=|\bfunction\s+([\w$]+)\s*\(|^def\s+(\w+)\s*\()/gmu)].at(-1);
  const named = found?.[1] ?? found?.[2] ?? found?.[3];
  if (named !== undefined) return named;
  throw new UserError(
    `${name}, line ${line.number}: no "entry_point", and no function is declared in the prompt; name the function to test`,
  );
}
