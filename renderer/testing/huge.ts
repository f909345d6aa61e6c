/**
 * The fixture at its largest, for measuring the screens: a workflow of 500 nodes, a run with 100,000 traces, a trace of 2,000
 * records, 20 runs of 10,000 steps. Rows are filtered and ordered by the product's own code.
 */
import type { ControllerApi, ControllerEvents, RunSummary, TraceSummary } from '../../workflows/protocol.ts';
import { traceSchema, type Trace } from '../../workflows/schema/trace.ts';
import { workflowSchema, type Workflow } from '../../workflows/schema/workflow.ts';
import { ordered, page, passes } from '../../workflows/workspace/trace-list.ts';
import { fixtureController, metricsTo, sampleTrace } from './fixture-controller.ts';
import { sampleWorkflow } from './sample-workflow.ts';

export const huge = { nodes: 500, traces: 100_000, records: 2_000, runs: 20, steps: 10_000 } as const;

/** Rows of 25 role nodes, each reading the one before it. */
function hugeWorkflow(): Workflow {
  const [input, role] = sampleWorkflow.nodes;
  const count = huge.nodes - 1;
  const id = (at: number): string => (at < 0 ? input.id : `step_${at}`);
  return workflowSchema.parse({
    ...sampleWorkflow,
    nodes: [input, ...Array.from({ length: count }, (_, at) => ({ ...role, id: id(at) }))],
    edges: Array.from({ length: count }, (_, at) => ({
      from: at % 25 === 0 ? { node: input.id, port: 'question' } : { node: id(at - 1), port: 'queries' },
      to: { node: id(at), port: 'question' },
    })),
    layout: {
      [input.id]: { x: 0, y: 0 },
      ...Object.fromEntries(
        Array.from({ length: count }, (_, at) => [id(at), { x: 320 + (at % 25) * 260, y: Math.floor(at / 25) * 170 }]),
      ),
    },
  });
}

function hugeRows(): TraceSummary[] {
  return Array.from({ length: huge.traces }, (_, at) => ({
    ...{
      id: at === 0 ? 'long' : `t${at}`,
      query: `q${at % 2_000}`,
      step: 1_000 - Math.floor(at / 100),
      phase: 'train',
    },
    question: `Where does the friend of villager ${at % 2_000} live?`,
    ...{ answer: 'Ostra', status: 'done', score: (at % 3) / 2, f1: (at % 3) / 2, em: 0, reward: ((at % 5) - 2) / 2 },
    ...{ legal: at % 7 !== 0, failed: at % 97 === 0, records: 5, tokens: 40 + (at % 60) },
    roles: { decomposer: [0.5, true, 1] as const, answerer: [0.2, true, 1] as const },
  })) as TraceSummary[];
}

/** A loop that runs 500 times: two roles, a tool and a router a turn, each reading what went before. */
function longTrace(): Trace {
  const { records, ...rest } = sampleTrace(0);
  const [, decompose, retrieve, answer] = records;
  const turn = [decompose, retrieve, answer, { ...retrieve, node: 'route', kind: 'router' as const, title: 'Route' }];
  const id = (at: number): string => `${turn[at % 4].node}#${Math.floor(at / 4)}`;
  return traceSchema.parse({
    ...rest,
    id: 'long',
    records: Array.from({ length: huge.records }, (_, at) => ({
      ...turn[at % 4],
      id: id(at),
      turn: Math.floor(at / 4),
      parents: at === 0 ? [] : [id(at - 1)],
    })),
  });
}

export function hugeController(events: ControllerEvents): ControllerApi {
  const api = fixtureController(events);
  const [rows, long, metrics] = [hugeRows(), longTrace(), metricsTo(huge.steps)];
  let view: { key: string; rows: readonly TraceSummary[] } | null = null;
  return {
    ...api,
    jobs: async () => [],
    workflow: async (name) => ({ ...hugeWorkflow(), name }),
    runs: async () => {
      const [run] = await api.runs();
      return Array.from({ length: huge.runs }, (_, at): RunSummary => ({
        ...run,
        id: `run${at}`,
        title: `Run ${at}`,
        state: 'done',
        step: huge.steps,
      }));
    },
    run: async (id) => ({ ...(await api.run('two')), metrics, config: { ...(await api.run('two')).config, id } }),
    traces: async (_, filter) => {
      const key = JSON.stringify({ ...filter, offset: 0 });
      if (view?.key !== key)
        view = {
          key,
          rows: ordered(
            rows.filter((row) => passes(row, filter)),
            filter.order,
          ),
        };
      return page(view.rows, filter);
    },
    trace: async (_, id) => (id === 'long' ? long : { ...sampleTrace(Number(id.slice(1)) % 400), id }),
  };
}
