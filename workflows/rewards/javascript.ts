/**
 * Rewards that are a function in JavaScript: run in the sandbox, once for each trace over all records that receive the rule,
 * with nothing in reach but what the function is given. Whatever it does ends in numbers or in one error that names the rule.
 */
import { UserError } from '../../engine/errors.ts';
import type { Cast } from '../schema/cast.ts';
import type { RewardRule, RewardValue } from '../schema/reward.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';
import { runProgram } from '../tools/sandbox/run.ts';
import { assignRewards, isTrained, receives } from './assign.ts';
import { beside, roleRecords, wholeScope } from './scope.ts';
import { needsGolds } from './value.ts';

type Script = RewardRule & { value: Extract<RewardValue, { kind: 'javascript' }> };

const outputChars = 200_000;
/** Larger numbers are a mistake that no update should learn from. */
const largest = 1e6;

/**
 * The trace with its rewards, those in JavaScript among them. Throws a UserError naming a rule that cannot be computed,
 * Cancelled never.
 */
export async function settleRewards(
  workflow: Pick<Workflow, 'rewards'>,
  cast: Pick<Cast, 'policies'>,
  trace: Trace,
): Promise<Trace> {
  const values = new Map<RewardRule, Map<string | null, number>>();
  const scripts = trace.status === 'dropped' ? [] : workflow.rewards.rules.filter(isScript);
  for (const rule of scripts) {
    if (trace.query.answers.length === 0 && needsGolds(rule, trace)) continue;
    const receivers = trace.records.filter((record) => isTrained(record, cast) && receives(rule, record));
    if (receivers.length > 0) values.set(rule, await runScript(rule, trace, receivers));
  }
  return assignRewards(workflow, cast, trace, (rule, record) => values.get(rule)!.get(record?.id ?? null)!);
}

function isScript(rule: RewardRule): rule is Script {
  return rule.value.kind === 'javascript';
}

/** The function is an expression; what follows it on its last line may be a comment. */
function programOf(source: string): string {
  return `const reward = (${source}
);
const { items, ...whole } = data;
const at = (i) => (i === null ? null : whole.records[i]);
const values = items.map((item) => reward({ ...whole, record: at(item.record), previous: at(item.previous), next: at(item.next) }));
console.log(JSON.stringify(values.map((value) => (typeof value === 'boolean' ? Number(value) : value))));`;
}

async function runScript(
  rule: Script,
  trace: Trace,
  receivers: readonly TraceRecord[],
): Promise<Map<string | null, number>> {
  const { source, timeMs, memoryMb } = rule.value;
  const roles = roleRecords(trace);
  const place = (record: TraceRecord | null) => (record === null ? null : roles.indexOf(record));
  const asked = rule.level === 'trajectory' ? [null] : receivers;
  const items = asked.map((record) => ({
    record: place(record),
    previous: place(beside(trace, record, -1)),
    next: place(beside(trace, record, 1)),
  }));
  const result = await runProgram('javascript', {
    program: programOf(source),
    test: null,
    data: JSON.stringify({ ...wholeScope(trace), items }),
    limits: { timeMs, memoryBytes: memoryMb * 2 ** 20, outputChars },
  });
  if (!result.ok)
    throw new UserError(
      `The reward ${rule.id} cannot be computed. Its function failed: ${result.error!.slice(0, 300)}; mend it, for example ({ score, record }) => score.f1 - record.length / 1000`,
    );
  const values = numbersIn(rule.id, result.output, asked.length);
  return new Map(asked.map((record, i) => [record?.id ?? null, values[i]]));
}

/** What was printed as so many numbers; the function may have printed too, so the last line counts. */
function numbersIn(rule: string, output: string, count: number): number[] {
  const line = output.slice(output.lastIndexOf('\n') + 1);
  let values: unknown;
  try {
    values = JSON.parse(line);
  } catch {
    values = null;
  }
  const good = (value: unknown): value is number => typeof value === 'number' && Math.abs(value) <= largest;
  if (Array.isArray(values) && values.length === count && values.every(good)) return values;
  throw new UserError(
    `The reward ${rule} must be a number from -${largest} to ${largest}, but its function gives ${line.slice(0, 60) || 'nothing'}; let it return a number or a condition`,
  );
}
