/**
 * Reads workflow, cast, rewards and trace objects that a file or a person brings: says plainly when it is another kind of
 * file or comes from a newer Troupe, lifts older versions step by step, and names the place of whatever does not fit.
 */
import type { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { CAST_VERSION, castSchema, type Cast } from './cast.ts';
import { REWARDS_VERSION, rewardsSchema, type Rewards } from './reward.ts';
import { RUN_VERSION, runSchema, type RunConfig } from './run.ts';
import { TRACE_VERSION, traceSchema, type Trace } from './trace.ts';
import { WORKFLOW_VERSION, workflowSchema, type Workflow } from './workflow.ts';

type Plain = Record<string, unknown>;

/** From version k+1's predecessor to it: `migrations[k]` lifts version k. */
export type Migrations = Readonly<Record<number, (old: Plain) => Plain>>;

export type Format<T> = { kind: string; version: number; schema: z.ZodType<T>; migrations: Migrations };

/** A version that only added to the one before. */
function unchanged(old: Plain): Plain {
  return old;
}

const workflowFormat: Format<Workflow> = {
  kind: 'workflow',
  version: WORKFLOW_VERSION,
  schema: workflowSchema,
  migrations: { 1: unchanged },
};
const castFormat: Format<Cast> = {
  kind: 'cast',
  version: CAST_VERSION,
  schema: castSchema,
  migrations: { 1: unchanged },
};
const rewardsFormat: Format<Rewards> = {
  kind: 'rewards',
  version: REWARDS_VERSION,
  schema: rewardsSchema,
  migrations: { 1: unchanged },
};
export const traceFormat: Format<Trace> = {
  kind: 'trace',
  version: TRACE_VERSION,
  schema: traceSchema,
  migrations: {},
};
const runFormat: Format<RunConfig> = { kind: 'run', version: RUN_VERSION, schema: runSchema, migrations: {} };

/** A workflow from JSON. Throws a UserError naming the place in the file and the remedy. */
export function parseWorkflow(json: unknown): Workflow {
  return parseAs(workflowFormat, json);
}

export function parseCast(json: unknown): Cast {
  return parseAs(castFormat, json);
}

export function parseRewards(json: unknown): Rewards {
  return parseAs(rewardsFormat, json);
}

export function parseTrace(json: unknown): Trace {
  return parseAs(traceFormat, json);
}

export function parseRun(json: unknown): RunConfig {
  return parseAs(runFormat, json);
}

/** Reads one format: kind, then version, then shape. */
export function parseAs<T>(format: Format<T>, json: unknown): T {
  if (json === null || typeof json !== 'object' || Array.isArray(json))
    throw new UserError(
      `This is not a Troupe ${format.kind}: ${brief(json)}; the file must hold one object with "troupe": "${format.kind}"`,
    );
  const given = json as Plain;
  const kind = given['troupe'];
  if (kind !== format.kind)
    throw new UserError(
      `This is not a Troupe ${format.kind}: "troupe" is ${brief(kind)}; open a file whose "troupe" is "${format.kind}"`,
    );
  if (tooDeep(given))
    throw new UserError(`The ${format.kind} is nested more than ${maxDepth} deep; it was not written by Troupe`);
  const parsed = format.schema.safeParse(lift(format, given));
  if (parsed.success) return parsed.data;
  throw new UserError(sentence(format.kind, parsed.error.issues[0], given));
}

const maxDepth = 64;

/** Level by level and not by recursion, which a hostile file could exhaust. */
export function tooDeep(json: unknown): boolean {
  let level: unknown[] = [json];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > maxDepth) return true;
    level = level.flatMap((each) => (each !== null && typeof each === 'object' ? Object.values(each) : []));
  }
  return false;
}

function lift<T>(format: Format<T>, given: Plain): Plain {
  const version = given['version'];
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1)
    throw new UserError(`The ${format.kind} has no proper version: ${brief(version)}; the newest is ${format.version}`);
  if (version > format.version)
    throw new UserError(
      `The ${format.kind} comes from a newer Troupe: version ${version}, and this one reads up to ${format.version}; update Troupe`,
    );
  let lifted = given;
  for (let from = version; from < format.version; from += 1) {
    const step = format.migrations[from];
    if (step === undefined)
      throw new UserError(
        `The ${format.kind} is of a version that can no longer be read: ${version}; open it in an older Troupe and save it again`,
      );
    lifted = { ...step(lifted), version: from + 1 };
  }
  return lifted;
}

function sentence(kind: string, issue: z.core.$ZodIssue, given: unknown): string {
  const value = issue.path.reduce<unknown>(
    (at, key) => (at !== null && typeof at === 'object' ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    given,
  );
  return `The ${kind} does not fit at ${placeOf(issue)} (${reasonOf(issue)}): ${brief(value)}; correct that place in the file`;
}

type Issue = { readonly path: readonly PropertyKey[]; readonly message: string };

/** Where in the file, as "nodes.3.title"; a file may name its places as it likes, so only so much of it is shown. */
export function placeOf(issue: Issue): string {
  const place = issue.path.map(String).join('.').replace(/\p{C}/gu, '?');
  return place.length > 80 ? `${place.slice(0, 80)}…` : place || 'its top';
}

/** What the schema has against it. */
export function reasonOf(issue: Issue): string {
  const reason = issue.message
    .replace(/^Invalid input: /, '')
    .replace(/received undefined$/, 'found nothing')
    .replace(/\p{C}/gu, '?');
  return reason.length > 160 ? `${reason.slice(0, 160)}…` : reason;
}

function brief(value: unknown): string {
  if (tooDeep(value)) return 'something nested without end';
  const text = JSON.stringify(value);
  return text === undefined ? 'nothing' : text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
