/**
 * The set-up form as text fields, and the request they make. An empty field means the controller's default; a wrong one
 * gives a sentence and nothing is sent.
 */
import type { TrainRequest } from '../../workflows/protocol.ts';
import type { Cast, Method } from '../../workflows/schema/cast.ts';
import type { RunConfig } from '../../workflows/schema/run.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { modelOf } from '../team/cast-board.ts';
import { precisionChoices, precisionParts, type Precisions } from '../team/precision.ts';
import { words } from '../words.ts';
import { isTexts, textProblems, textValues, type SettingGroup, type Texts } from './setting-fields.ts';

export type SetupForm = {
  title: string;
  workflow: string;
  task: string;
  model: string;
  method: 'full' | 'lora';
  rank: string;
  alpha: string;
  /** `shared`, `separate`, a cast's name, or `board` for the one on the cast board. */
  cast: string;
  /** By PPO, or in rounds of fine-tuning on what went well. */
  learn: 'ppo' | 'sft';
  /** How exactly policies compute; what is not chosen is as the cast says. */
  precision: Precisions;
  /** `yes` where the person lets this team's tools read the web. */
  web: string;
  /** Settings by name, as the schema has them. */
  run: Texts;
  ppo: Texts;
  sft: Texts;
};

export const emptyForm: SetupForm = {
  title: '',
  workflow: 'qd-answer',
  task: 'village-qa',
  model: 'nano',
  method: 'full',
  rank: '16',
  alpha: '32',
  cast: 'shared',
  learn: 'ppo',
  precision: {},
  web: '',
  run: { seed: '1' },
  ppo: {},
  sft: {},
};

const groups: readonly SettingGroup[] = ['run', 'ppo', 'sft'];
const isGroup = (key: string): key is SettingGroup => groups.some((group) => group === key);

export function isSetupForm(value: unknown): value is SetupForm {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  return (
    Object.keys(emptyForm).every((key) => isGroup(key) || key === 'precision' || typeof record[key] === 'string') &&
    groups.every((key) => isTexts(record[key])) &&
    arePrecisions(record.precision) &&
    (record.method === 'full' || record.method === 'lora') &&
    (record.learn === 'ppo' || record.learn === 'sft')
  );
}

function arePrecisions(value: unknown): value is Precisions {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  return precisionParts.every((part) => [undefined, ...precisionChoices[part]].some((known) => known === record[part]));
}

export type Problems = {
  readonly rank?: string;
  readonly alpha?: string;
  readonly run: Readonly<Record<string, string>>;
  /** Of the way it learns by; the other way's are not asked for. */
  readonly learning: Readonly<Record<string, string>>;
};

const RANK_MOST = 256;
const ALPHA_MOST = 1_024;

function adapterProblems({ method, rank, alpha }: SetupForm): Pick<Problems, 'rank' | 'alpha'> {
  if (method !== 'lora') return {};
  const { fields, problems } = words.training;
  const wrong = (text: string, most: number, whole: boolean): boolean =>
    text.trim() !== '' && !(Number(text) > 0 && Number(text) <= most && (!whole || Number.isInteger(Number(text))));
  return {
    ...(wrong(rank, RANK_MOST, true) ? { rank: problems.number(fields.rank, true, 1, RANK_MOST) } : {}),
    ...(wrong(alpha, ALPHA_MOST, false) ? { alpha: problems.alpha } : {}),
  };
}

export function problemsOf(form: SetupForm): Problems {
  const seed: Record<string, string> =
    (form.run.seed ?? '').trim() === '' ? { seed: words.training.problems.seed } : {};
  return {
    ...adapterProblems(form),
    run: { ...textProblems('run', form.run), ...seed },
    learning: textProblems(form.learn, form[form.learn]),
  };
}

/** Every sentence of what is wrong. */
export function problemList({ rank, alpha, run, learning }: Problems): string[] {
  return [rank, alpha, ...Object.values(run), ...Object.values(learning)].filter((one) => one !== undefined);
}

export function methodOf(form: SetupForm): Method {
  if (form.method === 'full') return { kind: 'full' };
  return {
    kind: 'lora',
    rank: Number(form.rank.trim() || '16'),
    alpha: Number(form.alpha.trim() || '32'),
    targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  };
}

/** What of a plan is worth reading before it starts: all but the workflow's own text, and what names a run or its programs. */
export function plannedText({ workflow, cast, task, settings, web, device }: RunConfig): object {
  return { workflow: workflow.name, task, cast, settings, ...(web ? { web } : {}), device };
}

/** How many policies a form would train; the board's cast knows it, a preset by the workflow's roles. */
export function trainedPolicies(form: SetupForm, workflow: Workflow | null, board: Cast | null): number {
  const cast = form.cast === 'board' ? board : workflow?.casts[form.cast];
  if (cast) return Object.values(cast.policies).filter(({ frozen }) => !frozen).length;
  return form.cast === 'separate' ? Object.keys(workflow?.roles ?? {}).length : 1;
}

/** The request of a form without problems. `board` is the cast of the cast board where the form asks for it. */
export function requestOf(form: SetupForm, board: Cast | null): TrainRequest {
  const tuning = form.learn === 'sft';
  const ppo = textValues('ppo', form.ppo);
  const onBoard = form.cast === 'board' && board !== null;
  const request = {
    title: form.title.trim() || undefined,
    workflow: form.workflow,
    task: form.task,
    model: onBoard ? modelOf(board) : form.model,
    method: onBoard ? undefined : methodOf(form),
    cast: onBoard ? board : form.cast === 'board' ? 'shared' : form.cast,
    ...form.precision,
    ...textValues('run', form.run),
    ppo: tuning || Object.keys(ppo).length === 0 ? undefined : ppo,
    sft: tuning ? textValues('sft', form.sft) : undefined,
    web: form.web === 'yes' ? true : undefined,
  };
  const given = Object.entries(request).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as Record<string, unknown> as TrainRequest;
}
