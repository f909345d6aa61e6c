/** The controller seen from a screen: the same typed calls over a port, its events handed to `events`. */
import { callsOf, connect, type Wire } from '../engine/wire.ts';
import type { ControllerApi, ControllerEvents } from './protocol.ts';

/** Every call there is: one that is forgotten here does not compile. */
const controllerCalls: Readonly<Record<keyof ControllerApi, true>> = {
  device: true,
  devices: true,
  memory: true,
  workflows: true,
  workflow: true,
  saveWorkflow: true,
  removeWorkflow: true,
  tasks: true,
  models: true,
  addModel: true,
  removeModel: true,
  downloads: true,
  download: true,
  pauseDownload: true,
  resumeDownload: true,
  cancelDownload: true,
  chat: true,
  runs: true,
  run: true,
  removeRun: true,
  describeRun: true,
  plan: true,
  train: true,
  branch: true,
  pause: true,
  resume: true,
  stop: true,
  jobs: true,
  traces: true,
  trace: true,
  forkTrace: true,
  forks: true,
  scoreRecord: true,
  tryRewards: true,
  notes: true,
  note: true,
  runQuestion: true,
  stopAnswer: true,
  serviceKey: true,
  keepServiceKey: true,
  turns: true,
  answerTurn: true,
  exportPolicy: true,
};

export const controllerEvents = [
  'onJob',
  'onStep',
  'onText',
  'onDownload',
  'onTurns',
  'onNotice',
] as const satisfies (keyof ControllerEvents)[];

export function connectController(wire: Wire, events: ControllerEvents): ControllerApi {
  const remote = connect<ControllerApi, ControllerEvents>(wire, events, []);
  return callsOf<ControllerApi>(remote, Object.keys(controllerCalls) as (keyof ControllerApi)[]);
}
