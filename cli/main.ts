/** `troupe`: the terminal. Each command is a file; this one only gathers them. */
import { Command } from 'commander';
import { addDevices } from './devices.ts';
import { addEval } from './eval.ts';
import { addFork } from './fork.ts';
import { addModels } from './models.ts';
import { addRun } from './run.ts';
import { addSft } from './sft.ts';
import { addStudy } from './study.ts';
import { addTool } from './tool.ts';
import { addTraces } from './traces.ts';
import { addTrain } from './train.ts';

const program = new Command('troupe')
  .description('Run and train teams of small language models on this machine.')
  .version('0.1.0')
  .showHelpAfterError('(add --help for what it takes)')
  .configureHelp({ sortSubcommands: false })
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

for (const add of [addTrain, addStudy, addRun, addEval, addSft, addTraces, addFork, addTool, addModels, addDevices])
  add(program);

await program.parseAsync();
