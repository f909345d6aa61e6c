/**
 * `npm test`: installs what is needed, runs every check there is and ends with one plain line of counts. `npm test -- unit
 * browser` runs the named stages only. In CI a missing browser, display or driver is a failure; elsewhere it is said.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { add, none, plainLine } from './lib/counts.mjs';
import { prepareMachine, vulkanDriver } from './lib/debian.mjs';
import { ensureInstalled, requireNode } from './lib/install.mjs';
import { stages } from './lib/stages.mjs';

const inCi = Boolean(process.env.CI) && process.env.CI !== 'false';
const started = Date.now();

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}

function chosenStages(names) {
  const unknown = names.find((name) => !stages.some((stage) => stage.name === name));
  if (unknown) {
    console.error(`No such stage: ${unknown}; stages are ${stages.map((stage) => stage.name).join(', ')}.`);
    process.exit(2);
  }
  return names.length ? stages.filter((stage) => names.includes(stage.name)) : stages;
}

/** What a stage counts when the machine cannot run it. */
function unmet(stage, reason) {
  const fails = inCi && !stage.optional;
  console.log(`  ${fails ? 'FAIL' : 'skipped'}: ${reason}`);
  return { passed: 0, failed: fails ? 1 : 0, skipped: fails ? 0 : 1 };
}

async function runStage(stage) {
  console.log(`\n== ${stage.title}`);
  const since = Date.now();
  let counts;
  try {
    const reason = stage.needs ? await stage.needs() : null;
    counts = reason ? unmet(stage, reason) : await stage.work();
  } catch (failure) {
    console.log(`  FAIL: ${failure.message}`);
    counts = { passed: 0, failed: 1, skipped: 0 };
  }
  console.log(`   ${stage.title}: ${plainLine(counts)} in ${seconds(since)}`);
  return counts;
}

async function main() {
  const chosen = chosenStages(process.argv.slice(2));
  await ensureInstalled();
  await prepareMachine();
  // Vulkan loaders want a private folder of their own; a bare machine sets none.
  process.env.XDG_RUNTIME_DIR ??= mkdtempSync(join(tmpdir(), 'troupe-run-'));
  let total = none;
  if (!vulkanDriver())
    total = add(
      total,
      unmet({ optional: process.platform !== 'linux' }, 'no software Vulkan driver for WebGPU in Node'),
    );
  for (const stage of chosen) total = add(total, await runStage(stage));
  console.log(`\nAll stages took ${seconds(started)}.`);
  return total;
}

requireNode();
main().then(
  (total) => {
    console.log(plainLine(total));
    process.exit(total.failed > 0 ? 1 : 0);
  },
  (failure) => {
    console.error(failure.message);
    console.log(plainLine({ passed: 0, failed: 1, skipped: 0 }));
    process.exit(1);
  },
);
