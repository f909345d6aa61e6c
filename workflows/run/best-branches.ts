/**
 * AT-GRPO's way of branching (arXiv 2510.11062): at a question's first call all its samples of that stage differ; the one whose
 * call earned most is gone on with, the next stage's samples leave it one call later, and so on. What is compared at a call has
 * all the same behind it, and what lies behind is the best that was found. Stages run one after the other, each over all
 * questions at once; a stage's samples are those that branch there.
 */
import type { Trace } from '../schema/trace.ts';
import { ownerOf, samplesOf, type Sample } from './samples.ts';

/** A sample that was run: its settled trace, and its calls' records by number. */
export type Tried = { readonly trace: Trace; readonly called: readonly string[] };

/** A question's place in the batch, and how it is to be sampled. */
export type Wanted = { readonly question: number; readonly sample: Sample };

type Path = Tried & { readonly sample: Sample; readonly compared: Set<string> };

/**
 * All samples of `questions` questions over `calls` stages, by question and in order. `runAll` runs a stage and gives what came
 * of each in turn. Only what was compared at a stage is learned from. Throws a UserError for too few samples.
 */
export async function runBestBranches(
  { questions, samples, calls }: { questions: number; samples: number; calls: number },
  runAll: (wanted: readonly Wanted[]) => Promise<readonly Tried[]>,
): Promise<Trace[]> {
  const all = samplesOf(samples, true, calls);
  const paths = Array.from({ length: questions }, (): Path[] => []);
  const bases = Array.from({ length: questions }, (): Path | null => null);
  for (let call = 0; call < calls; call++) {
    const stage = all.filter(({ branchAt = 0 }) => branchAt === call);
    const wanted = bases.flatMap((base, question) =>
      // A trace that has ended has no such call to branch at.
      call > 0 && call >= base!.called.length
        ? []
        : stage.map((sample) => ({ question, sample: { ...sample, trunk: ownersOf(base, call) } })),
    );
    const tried = await runAll(wanted);
    const made = tried.map((one, i): Path => ({ ...one, sample: wanted[i].sample, compared: new Set() }));
    for (let question = 0; question < questions; question++) {
      const own = made.filter((_, i) => wanted[i].question === question);
      if (own.length === 0) continue;
      paths[question].push(...own);
      const base = bases[question];
      bases[question] = bestAt(base === null ? own : [base, ...own], call);
    }
  }
  return paths.flat().map(({ trace, compared }) => onlyCompared(trace, compared));
}

function ownersOf(base: Path | null, calls: number): number[] {
  return base === null ? [] : Array.from({ length: calls }, (_, call) => ownerOf(base.sample, call));
}

/** The one whose call earned most, the first of equals; all of them are compared by that call. */
function bestAt(candidates: readonly Path[], call: number): Path {
  const earned = candidates.map(({ trace, called, compared }) => {
    compared.add(called[call]);
    return trace.records.find(({ id }) => id === called[call])?.reward ?? -Infinity;
  });
  return candidates[earned.indexOf(Math.max(...earned))];
}

function onlyCompared(trace: Trace, compared: ReadonlySet<string>): Trace {
  const records = trace.records.map((record) => ({
    ...record,
    trainable: record.trainable && compared.has(record.id),
  }));
  return { ...trace, records };
}
