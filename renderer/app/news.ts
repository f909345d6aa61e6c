/**
 * What the desktop tells the page without being asked: a team file that was opened, a command of the menu, a sentence. The
 * page believes only what has this shape.
 */
import { shortcuts, type ShortcutAction } from './shortcuts.ts';

export type News =
  | { readonly kind: 'team'; readonly name: string; readonly text: string }
  | { readonly kind: 'command'; readonly action: ShortcutAction }
  | { readonly kind: 'notice'; readonly level: 'info' | 'warning' | 'error'; readonly text: string };

export const NEWS = 'troupe-news';

export function newsOf(data: unknown): News | null {
  if (data === null || typeof data !== 'object') return null;
  const { kind, name, text, action, level } = data as Record<string, unknown>;
  if (kind === 'team' && typeof name === 'string' && typeof text === 'string') return { kind, name, text };
  if (kind === 'notice' && typeof text === 'string' && (level === 'info' || level === 'warning' || level === 'error'))
    return { kind, level, text };
  const known = shortcuts.find((shortcut) => shortcut.action === action);
  return kind === 'command' && known ? { kind, action: known.action } : null;
}

/** Returns the way to stop listening. */
export function onNews(hear: (news: News) => void): () => void {
  const receive = (event: MessageEvent): void => {
    if (event.source !== window || event.origin !== location.origin || event.data?.type !== NEWS) return;
    const news = newsOf(event.data.news);
    if (news) hear(news);
  };
  window.addEventListener('message', receive);
  return () => window.removeEventListener('message', receive);
}
