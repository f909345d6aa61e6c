/** `troupe tool`: one tool alone, to try a program, a search or a sum without a team. */
import type { Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import { isPassages, type Json, type Values } from '../workflows/schema/value.ts';
import type { Language } from '../workflows/tools/sandbox/program.ts';
import { openOutput, type Output } from './output.ts';
import { readUserFile } from './place.ts';
import { exitCodes, finish } from './session.ts';
import { collect, settings, whole } from './request.ts';

type ToolOptions = {
  input: string;
  set: string[];
  timeMs?: number;
  memoryMb?: number;
  outputChars?: number;
  allowWeb?: boolean;
  json?: boolean;
};

/** Tools whose input file is the program itself. */
const programTools: readonly string[] = ['javascript', 'python'];
const nothing = {
  program: '',
  test: null,
  data: 'null',
  limits: { timeMs: 5_000, memoryBytes: 2 ** 28, outputChars: 1 },
};

export function addTool(program: Command): void {
  program
    .command('tool')
    .description('run one tool alone')
    .argument('<name>', 'javascript, python, search-program, unit-tests, calculator, majority-vote, bm25 or web-fetch')
    .requiredOption('--input <file>', 'the program; for other tools a JSON object of their inputs')
    .option('--set <key=value>', 'a setting of the tool, e.g. language=python (repeatable)', collect, [])
    .option('--time-ms <n>', 'longest run of a program (5000) or of one test (1000)', whole)
    .option('--memory-mb <n>', 'memory of the sandbox in MiB (256)', whole)
    .option('--output-chars <n>', 'characters of printed text that are kept (20000)', whole)
    .option('--allow-web', 'let web-fetch read the web, from the hosts in its settings')
    .option('--json', 'one JSON object: ok, output, error, ms')
    .action((name: string, options: ToolOptions) => {
      const output = openOutput(options.json === true);
      return finish(output, () => runTool(name, options, output));
    });
}

async function runTool(name: string, options: ToolOptions, output: Output): Promise<number> {
  const [{ openTool }, { runProgram }] = await Promise.all([
    import('../workflows/tools/index.ts'),
    import('../workflows/tools/sandbox/run.ts'),
    import('../workflows/tools/sandbox/register.node.ts'),
  ]);
  const given: Record<string, Json> = { ...settings(options.set), ...limitsOf(options) };
  if (typeof given['hosts'] === 'string') given['hosts'] = given['hosts'].split(',');
  const tool = openTool({ id: name, kind: 'tool', title: '', timeoutMs: 3_600_000, tool: name, settings: given });
  const text = new TextDecoder().decode(await readUserFile(options.input));
  const inputs = programTools.includes(name) ? { program: text } : inputsOf(text, options.input);
  // The language is loaded first, so that `ms` is the program's own time.
  if (programTools.includes(name)) await runProgram(name as Language, nothing);
  const web = options.allowWeb === true ? { web: (await import('../workflows/tools/web.node.ts')).openWeb() } : {};
  const started = performance.now();
  const told = (ok: boolean, made: Values, error: string | null): number => {
    const shown = programTools.includes(name) ? made['output'] : made;
    output.emit({ ok, output: shown ?? '', error, ms: Math.round(performance.now() - started) });
    if (shown !== undefined && shown !== '')
      output.say(typeof shown === 'string' ? shown : JSON.stringify(shown, null, 2));
    if (error !== null) output.warn(error);
    return ok ? exitCodes.done : exitCodes.bug;
  };
  try {
    const paragraphs = inputs['paragraphs'];
    return told(
      true,
      await tool.run(inputs, { corpus: null, paragraphs: isPassages(paragraphs) ? paragraphs : [], ...web }),
      null,
    );
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return told(false, 'outputs' in error ? (error.outputs as Values) : {}, error.message);
  }
}

/** Only what was given, so that the tool's own defaults hold. */
function limitsOf({ timeMs, memoryMb, outputChars }: ToolOptions): Record<string, number> {
  return Object.fromEntries(
    Object.entries({ timeMs, memoryMb, outputChars }).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value]],
    ),
  );
}

function inputsOf(text: string, file: string): Values {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Values;
  throw new UserError(`Not a JSON object: ${file}; write the tool's inputs by name, e.g. {"expression": "2+2"}`);
}
