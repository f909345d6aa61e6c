/** Writes what a study has come to so far into the workspace: report.json for programs, a page and Markdown for people. */
import type { FileOut } from '../../engine/protocol.ts';
import { jsonBytes, paths } from '../workspace/layout.ts';
import type { Store } from '../workspace/store.ts';
import { readNotes } from './cells.ts';
import type { Cell } from './plan.ts';
import { studyDocument } from './report.ts';
import { studyResults, type StudyResults } from './results.ts';
import type { Study } from './schema.ts';
import { documentFiles } from './write.ts';

export type Concluded = { readonly results: StudyResults; readonly files: readonly FileOut[] };

/** null where no cell is finished, and nothing is written. */
export async function concludeStudy(store: Store, study: Study, cells: readonly Cell[]): Promise<Concluded | null> {
  const results = await studyResults(store, cells, await readNotes(store, study.name));
  if (results === null) return null;
  const folder = paths.study(study.name);
  const files = documentFiles(study.name, studyDocument(study, results));
  for (const { name, bytes } of files) await store.write(`${folder}/${name}`, bytes);
  await store.write(`${folder}/report.json`, jsonBytes(figures(results)));
  return { results, files };
}

/** The results as plain JSON: the curves stand in each run's own metrics.jsonl. */
function figures({ arms, ...rest }: StudyResults): unknown {
  return {
    ...rest,
    arms: arms.map(({ arm, label, cells }) => ({
      arm,
      label,
      cells: cells.map(({ metrics: _, finalScores, peakScores, ...cell }) => ({
        ...cell,
        finalScores: Object.fromEntries(finalScores),
        peakScores: Object.fromEntries(peakScores),
      })),
    })),
  };
}
