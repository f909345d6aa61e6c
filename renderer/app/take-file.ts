/** What becomes of a file that a person drops or picks anywhere: a team is drawn, a model is offered, anything else is refused. */
import { words } from '../words.ts';
import type { Session } from './session.svelte.ts';

/** Far above any team, far below what would stall the page. */
const TEAM_MAX_BYTES = 8 * 1024 * 1024;

type Taker = Pick<Session, 'bringTeam' | 'notify' | 'go' | 'droppedModel'>;

export async function takeFile(session: Taker, file: File): Promise<void> {
  const text = words.desktop.files;
  if (/\.gguf$/i.test(file.name)) {
    session.droppedModel = file;
    session.go({ screen: 'models' });
  } else if (!/\.json$/i.test(file.name)) session.notify('error', text.notHere(file.name));
  else if (file.size > TEAM_MAX_BYTES) session.notify('error', text.tooLarge(file.name, file.size, TEAM_MAX_BYTES));
  else {
    const content = await file.text().catch(() => null);
    if (content === null) session.notify('error', text.unreadable(file.name));
    else session.bringTeam(content);
  }
}
