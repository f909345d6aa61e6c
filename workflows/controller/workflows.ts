/** Workflows by name: a saved file of the workspace, else a template (fitted to the task), else a file a person names. */
import { UserError } from '../../engine/errors.ts';
import type { TrainRequest, WorkflowSummary } from '../protocol.ts';
import { parseWorkflow } from '../schema/migrate.ts';
import { idSchema, type Workflow } from '../schema/workflow.ts';
import type { Task } from '../tasks/task.ts';
import { templateNames, templateWorkflow } from '../templates/index.ts';
import { jsonBytes, paths, readAs, readSmall } from '../workspace/layout.ts';
import type { Store } from '../workspace/store.ts';
import { skip } from './runs.ts';

const suffix = '.troupe.json';

async function savedNames(store: Store, damaged: (error: UserError) => void = () => {}): Promise<string[]> {
  const names = (await store.list('workflows'))
    .filter((name) => name.endsWith(suffix))
    .map((name) => name.slice(0, -suffix.length));
  const fits = (name: string) => idSchema.safeParse(name).success;
  for (const name of names.filter((each) => !fits(each)))
    damaged(
      new UserError(
        `workflows/${name}${suffix} is left out: a team's file is named with a lower-case letter, then letters, digits, - and _; rename it`,
      ),
    );
  return names.filter(fits);
}

/** A saved workflow goes by its file's name, so that saving it again cannot write over another one. */
async function savedWorkflow(store: Store, name: string): Promise<Workflow> {
  const file = paths.workflow(name);
  return { ...readAs(parseWorkflow, await readSmall(store, file), file), name };
}

/** A file that cannot be read is left out, and said so. */
export async function workflowSummaries(store: Store, damaged: (error: UserError) => void): Promise<WorkflowSummary[]> {
  const saved = await savedNames(store, damaged);
  const names = [...new Set([...templateNames, ...saved])];
  const summaries = names.map(async (name): Promise<WorkflowSummary> => {
    const { title, description, roles } = await loadWorkflow(store, name, null);
    return { name, title, description, roles: Object.keys(roles), template: !saved.includes(name) };
  });
  const found = await Promise.all(summaries.map((summary) => summary.catch((error: unknown) => skip(error, damaged))));
  return found.filter((summary) => summary !== null);
}

export async function loadWorkflow(
  store: Store,
  workflow: string | Workflow,
  task: Task | null,
  readFile?: (path: string) => Promise<Uint8Array>,
): Promise<Workflow> {
  if (typeof workflow !== 'string') return parseWorkflow(workflow);
  const saved = idSchema.safeParse(workflow).success && (await store.stat(paths.workflow(workflow))) !== null;
  if (saved) return savedWorkflow(store, workflow);
  if (templateNames.includes(workflow))
    return templateWorkflow(workflow, task === null ? {} : { metric: task.metric, ...task.presets?.[workflow] });
  if (readFile && /\.json$/.test(workflow)) return readAs(parseWorkflow, await readFile(workflow), workflow);
  const known = [...new Set([...templateNames, ...(await savedNames(store))])];
  throw new UserError(
    `No such workflow: ${workflow}; there are ${known.join(', ')}${readFile ? ', or name a .json file' : ''}`,
  );
}

export async function saveWorkflow(store: Store, workflow: Workflow): Promise<void> {
  await store.write(paths.workflow(workflow.name), jsonBytes(parseWorkflow(workflow)));
}

export async function removeWorkflow(store: Store, name: string): Promise<void> {
  const saved = await savedNames(store);
  if (!saved.includes(name))
    throw new UserError(
      `No saved team of this name can be removed: ${name.slice(0, 80)}; saved are ${saved.join(', ') || 'none'}`,
    );
  await store.remove(paths.workflow(name));
}

/** The workflow with every search cut to so many passages and words. */
export function withSearch(workflow: Workflow, search: TrainRequest['search']): Workflow {
  const { passages, words } = search ?? {};
  if (passages === undefined && words === undefined) return workflow;
  if (!workflow.nodes.some(isSearch))
    throw new UserError(`${workflow.name} searches nothing; leave the number of passages and words out`);
  const settings = {
    ...(passages === undefined ? {} : { k: passages, limit: passages }),
    ...(words === undefined ? {} : { words }),
  };
  return {
    ...workflow,
    nodes: workflow.nodes.map((node) =>
      isSearch(node) ? { ...node, settings: { ...node.settings, ...settings } } : node,
    ),
  };
}

function isSearch(node: Workflow['nodes'][number]): node is Extract<Workflow['nodes'][number], { kind: 'tool' }> {
  return node.kind === 'tool' && node.tool === 'bm25';
}
