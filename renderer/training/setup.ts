/**
 * The set-up form as text fields, and the request they make. An empty field means the controller's default; a wrong one
 * gives a sentence and nothing is sent.
 */
import type { DeviceKind, WeightPrecision } from '../../engine/protocol.ts';
import type { TrainRequest } from '../../workflows/protocol.ts';
import type { Cast, Method } from '../../workflows/schema/cast.ts';
import type { RunConfig } from '../../workflows/schema/run.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { modelOf } from '../team/cast-board.ts';
import { words } from '../words.ts';

const fields = words.training.fields;

export type SetupForm = {
  workflow: string;
  task: string;
  model: string;
  method: 'full' | 'lora';
  rank: string;
  alpha: string;
  /** `shared`, `separate`, a cast's name, or `board` for the one on the cast board. */
  cast: string;
  steps: string;
  queries: string;
  seed: string;
  /** By PPO, or in rounds of fine-tuning on what went well. */
  learn: 'ppo' | 'sft';
  samples: string;
  /** What tokens are sampled with; empty: as the cast says. */
  weights: '' | WeightPrecision;
  minScore: string;
  epochs: string;
  lr: string;
  whiten: string;
  evalEvery: string;
  evalLimit: string;
  checkpointEvery: string;
  /** `yes` where the person lets this team's tools read the web. */
  web: string;
};

/** From the exact one to the smallest. */
const precisions: readonly WeightPrecision[] = ['f32', 'f16', 'q8', 'q4'];

/** What a device can sample with beside the exact weights. */
export function precisionsOn(device: DeviceKind | undefined): readonly WeightPrecision[] {
  if (device === 'webgpu') return precisions;
  return device === 'wasm' ? precisions.filter((one) => one !== 'f16') : [];
}

export const emptyForm: SetupForm = {
  workflow: 'qd-answer',
  task: 'village-qa',
  model: 'nano',
  method: 'full',
  rank: '16',
  alpha: '32',
  cast: 'shared',
  steps: '',
  queries: '',
  seed: '1',
  learn: 'ppo',
  samples: '',
  weights: '',
  minScore: '',
  epochs: '',
  lr: '',
  whiten: '',
  evalEvery: '',
  evalLimit: '',
  checkpointEvery: '',
  web: '',
};

export function isSetupForm(value: unknown): value is SetupForm {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  return (
    Object.keys(emptyForm).every((key) => typeof record[key] === 'string') &&
    (record.method === 'full' || record.method === 'lora') &&
    (record.learn === 'ppo' || record.learn === 'sft') &&
    ['', ...precisions].some((known) => known === record.weights)
  );
}

type Whole = { readonly label: string; readonly min: number; readonly max: number };
export const wholes = {
  steps: { label: fields.steps, min: 1, max: 1_000_000 },
  queries: { label: fields.queries, min: 1, max: 4_096 },
  seed: { label: fields.seed, min: 0, max: 0xffffffff },
  samples: { label: fields.samples, min: 1, max: 256 },
  epochs: { label: fields.epochs, min: 1, max: 100 },
  evalEvery: { label: fields.evalEvery, min: 1, max: 1_000_000 },
  evalLimit: { label: fields.evalLimit, min: 1, max: 1_000_000 },
  checkpointEvery: { label: fields.checkpointEvery, min: 1, max: 1_000_000 },
  rank: { label: fields.rank, min: 1, max: 256 },
} as const satisfies Record<string, Whole>;

export type Problems = Partial<Record<keyof SetupForm, string>>;

export function wholeProblem(text: string, { label, min, max }: Whole): string | null {
  if (text.trim() === '') return null;
  const value = Number(text);
  return Number.isInteger(value) && value >= min && value <= max
    ? null
    : words.training.problems.whole(label, min, max.toLocaleString('en'));
}

export function problemsOf(form: SetupForm): Problems {
  const problems: Problems = {};
  for (const [key, rule] of Object.entries(wholes)) {
    const field = key as keyof typeof wholes;
    if (field === 'rank' && form.method !== 'lora') continue;
    if (field === 'epochs' && form.learn !== 'sft') continue;
    const problem = wholeProblem(form[field], rule);
    if (problem) problems[field] = problem;
  }
  if (form.seed.trim() === '') problems.seed = words.training.problems.seed;
  if (form.lr.trim() !== '' && !(Number(form.lr) > 0 && Number(form.lr) <= 1)) problems.lr = words.training.problems.lr;
  if (form.method === 'lora' && form.alpha.trim() !== '' && !(Number(form.alpha) > 0 && Number(form.alpha) <= 1_024))
    problems.alpha = words.training.problems.alpha;
  const least = form.minScore.trim() === '' ? 1 : Number(form.minScore);
  if (form.learn === 'sft' && !(least >= 0 && least <= 1)) problems.minScore = words.training.problems.minScore;
  return problems;
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

function number(text: string): number | undefined {
  return text.trim() === '' ? undefined : Number(text);
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
  const ppo = given({ lr: number(form.lr), whiten: form.whiten || undefined });
  const sft = given({ lr: number(form.lr), minScore: number(form.minScore), epochs: number(form.epochs) });
  const onBoard = form.cast === 'board' && board !== null;
  const request: TrainRequest = {
    workflow: form.workflow,
    task: form.task,
    model: onBoard ? modelOf(board) : form.model,
    method: onBoard ? undefined : methodOf(form),
    cast: onBoard ? board : form.cast === 'board' ? 'shared' : form.cast,
    seed: Number(form.seed),
    steps: number(form.steps),
    queries: number(form.queries),
    samples: number(form.samples),
    weights: form.weights || undefined,
    evalEvery: number(form.evalEvery),
    evalLimit: number(form.evalLimit),
    checkpointEvery: number(form.checkpointEvery),
    ppo: tuning || Object.keys(ppo).length === 0 ? undefined : ppo,
    sft: tuning ? sft : undefined,
    web: form.web === 'yes' ? true : undefined,
  };
  return given(request) as TrainRequest;
}

function given(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
