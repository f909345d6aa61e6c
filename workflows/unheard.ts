/** Events for a controller that nobody listens to: what it does is seen in its answers and in the workspace. */
import type { ControllerEvents } from './protocol.ts';

export const unheard: ControllerEvents = {
  onJob: () => {},
  onStep: () => {},
  onText: () => {},
  onTurns: () => {},
  onDownload: () => {},
  onNotice: () => {},
};
