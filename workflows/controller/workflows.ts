/** Workflows by name: a saved file of the workspace, else a template (fitted to the task), else a file a person names. */
import { UserError } from '../../engine/errors.ts';
import type { TrainRequest, WorkflowSummary } from '../protocol.ts';
import { parseWorkflow } from '../schema/migrate.ts';
import type { Workflow } from '../schema/workflow.ts';
import type { Task } from '../tasks/task.ts';
import { templateNames, templateWorkflow } from '../templates/index.ts';
import { jsonBytes, parseJson, paths } from '../workspace/layout.ts';
import type { Store } from '../workspace/store.ts';
import { skip } from './runs.ts';

const suffix = '.troupe.json';

async function savedNames(store: Store): Promise<string[]> {
  return (await store.list('workflows'))
    .filter((name) => name.endsWith(suffix))
    .map((name) => name.slice(0, -suffix.length));
}

/** A file that cannot be read is left out, and said so. */
export async function workflowSummaries(store: Store, damaged: (error: UserError) => void): Promise<WorkflowSummary[]> {
  const saved = await savedNames(store);
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
  const saved = /^[a-z][a-z0-9_-]*$/.test(workflow) && (await store.stat(paths.workflow(workflow))) !== null;
  if (saved) return parseWorkflow(parseJson(await store.read(paths.workflow(workflow)), paths.workflow(workflow)));
  if (templateNames.includes(workflow))
    return templateWorkflow(workflow, task === null ? {} : { metric: task.metric, ...task.presets?.[workflow] });
  if (readFile && /\.json$/.test(workflow)) return parseWorkflow(parseJson(await readFile(workflow), workflow));
  const known = [...new Set([...templateNames, ...(await savedNames(store))])];
  throw new UserError(
    `No such workflow: ${workflow}; there are ${known.join(', ')}${readFile ? ', or name a .json file' : ''}`,
  );
}

export async function saveWorkflow(store: Store, workflow: Workflow): Promise<void> {
  await store.write(paths.workflow(workflow.name), jsonBytes(parseWorkflow(workflow)));
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
