/** One command's life: opens the controller, runs, closes, and turns failures into exit codes. */
import { Cancelled, UserError } from '../engine/errors.ts';
import type { DeviceChoice } from '../engine/protocol.ts';
import type { Controller } from '../workflows/controller.ts';
import type { ControllerEvents } from '../workflows/protocol.ts';
import { workspaceFolder } from './place.ts';
import { openOutput, type Output } from './output.ts';

/** 0 done; 1 a bug, with its stack; 2 something the person can mend; 130 interrupted. */
export const exitCodes = { done: 0, bug: 1, mendable: 2, interrupted: 130 } as const;

export type Common = { json?: boolean; device?: string; workspace?: string };

export type Session = { controller: Controller; output: Output; workspace: string };

const devices = ['auto', 'webgpu', 'wasm', 'cpu'] as const;

export function deviceChoice(named: string | undefined): DeviceChoice {
  const found = devices.find((device) => device === (named ?? 'auto'));
  if (!found) throw new UserError(`No such device: ${named}; use ${devices.join(', ')}`);
  return found;
}

export async function withSession(
  options: Common,
  events: Partial<ControllerEvents>,
  work: (session: Session) => Promise<number>,
  where = () => workspaceFolder(options.workspace),
): Promise<void> {
  const output = openOutput(options.json === true);
  await finish(output, async () => {
    const device = deviceChoice(options.device);
    const workspace = where();
    // Only now, so that --help and a mistyped option are answered at once.
    const [{ terminalHost }, { createController }] = await Promise.all([
      import('./host.ts'),
      import('../workflows/controller.ts'),
    ]);
    const host = await terminalHost(workspace, device);
    const controller = createController(host, {
      onJob: () => {},
      onStep: () => {},
      onText: () => {},
      onTurns: () => {},
      onDownload: () => {},
      // What makes a job fail is said once, where the command ends.
      onNotice: ({ level, text }) => level !== 'error' && output.warn(text),
      ...events,
    });
    try {
      return await work({ controller, output, workspace });
    } finally {
      await controller.close();
    }
  });
}

export async function finish(output: Output, work: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await work();
  } catch (error) {
    process.exitCode = report(output, error);
  }
}

function report(output: Output, error: unknown): number {
  if (error instanceof Cancelled) {
    output.warn(error.message);
    return exitCodes.interrupted;
  }
  if (error instanceof UserError) {
    output.emit({ event: 'error', message: error.message });
    output.warn(error.message);
    return exitCodes.mendable;
  }
  output.emit({ event: 'error', message: error instanceof Error ? error.message : String(error) });
  output.warn(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return exitCodes.bug;
}
