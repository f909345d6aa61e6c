/**
 * The workflows that ship with Troupe. A person starts from one; a task may adapt it through a preset. A template is any
 * value with `troupe: 'workflow'` that a file of this folder exports: a new file is all that a new template takes.
 */
import { UserError } from '../../engine/errors.ts';
import type { Workflow, WorkflowInput } from '../schema/workflow.ts';
import { applyPreset, type Preset } from './preset.ts';

type Module = Readonly<Record<string, unknown>>;

/** Bundlers (and vitest) write the files in; plain Node, which the terminal is, lists the folder. */
const modules: readonly Module[] = import.meta.env
  ? Object.values(import.meta.glob<Module>(['./*.ts', '!./*.test.ts', '!./index.ts'], { eager: true }))
  : listed();

/** What a beginner should meet first; the others follow by name. */
const first = ['qd-answer', 'single-agent'];

const templates = templatesIn(modules);

export const templateNames: readonly string[] = [...templates.keys()];

/** A fresh workflow made from a template, with a task's preset where it has one. */
export function templateWorkflow(name: string, preset?: Preset): Workflow {
  const template = templates.get(name);
  if (template === undefined)
    throw new UserError(`There is no template of this name: ${name}; use one of ${templateNames.join(', ')}`);
  return applyPreset(template, preset);
}

/** Synchronous, for a bundle has its templates at once too; the names of Node's modules stay out of what browsers load. */
function listed(): Module[] {
  const { createRequire } = process.getBuiltinModule('node:module');
  const { readdirSync } = process.getBuiltinModule('node:fs');
  const { fileURLToPath } = process.getBuiltinModule('node:url');
  const load = createRequire(import.meta.url);
  const folder = new URL('.', import.meta.url);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && name !== 'index.ts')
    .map((name) => load(fileURLToPath(new URL(name, folder))) as Module);
}

function templatesIn(found: readonly Module[]): Map<string, WorkflowInput> {
  const byName = new Map<string, WorkflowInput>();
  for (const each of found.flatMap((module) => Object.values(module)).filter(isWorkflow)) {
    if (byName.has(each.name)) throw new Error(`Two templates have the same name: ${each.name}; rename one`);
    byName.set(each.name, each);
  }
  const others = [...byName.keys()].filter((name) => !first.includes(name)).sort();
  return new Map([...first, ...others].flatMap((name) => (byName.has(name) ? [[name, byName.get(name)!]] : [])));
}

function isWorkflow(value: unknown): value is WorkflowInput {
  return value !== null && typeof value === 'object' && 'troupe' in value && value.troupe === 'workflow';
}
