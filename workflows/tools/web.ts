/**
 * Reading the web: what a place offers that has a network, and the plain text of a page. Parsing is linear whatever the page.
 */
import { z } from 'zod';

/** A host that may be read, with all that stand below it. */
export const hostSchema = z
  .string()
  .max(253)
  .regex(
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$/,
    'name a host in lower case, such as en.wikipedia.org',
  );

/** The most a node may ask for. */
export const webLimits = { hosts: 32, timeMs: 30_000, kib: 8_192 } as const;

export type WebPage = { readonly url: string; readonly type: string; readonly text: string };

export type ReadLimits = { readonly hosts: readonly string[]; readonly timeMs: number; readonly maxBytes: number };

export type Web = {
  /**
   * Reads one address with GET and without cookies. Throws a UserError for an address that is not of `hosts` (or below one of
   * them), is private, answers too late, too much, or with what is no text.
   */
  read(url: string, limits: ReadLimits, signal?: AbortSignal): Promise<WebPage>;
};

/** Whether a host is one of those allowed, or stands below one. */
export function isAllowedHost(host: string, hosts: readonly string[]): boolean {
  return hosts.some((allowed) => host === allowed || host.endsWith(`.${allowed}`));
}

/** Elements whose content is no text for a reader. */
const silent = ['script', 'style', 'noscript', 'template', 'svg'];
const blocks = /^\/?(?:p|div|br|li|ul|ol|tr|h[1-6]|section|article|header|footer|table|blockquote|pre)\b/i;
const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };

/** Title and text of an HTML page: tags taken out, entities put in, white space collapsed. */
export function pageText(html: string): { title: string; text: string } {
  let text = '';
  let title = '';
  for (let at = 0; at < html.length;) {
    const open = html.indexOf('<', at);
    text += html.slice(at, open < 0 ? html.length : open);
    if (open < 0) break;
    const close = html.startsWith('<!--', open) ? html.indexOf('-->', open) : html.indexOf('>', open);
    if (close < 0) break;
    const tag = html.slice(open + 1, Math.min(close, open + 40));
    at = close + (html.startsWith('<!--', open) ? 3 : 1);
    const name = /^[a-z0-9]+/i.exec(tag)?.[0].toLowerCase() ?? '';
    if (name === 'title' || silent.includes(name)) {
      const end = endOf(html, name, at);
      if (name === 'title' && title === '') title = plain(html.slice(at, Math.min(end, at + 2_000)));
      at = end;
    }
    if (blocks.test(tag)) text += '\n';
  }
  return { title, text: plain(text) };
}

/** Where the closing tag of an element begins; the end of the page where there is none. */
function endOf(html: string, name: string, from: number): number {
  for (let at = from; ;) {
    const found = html.indexOf('</', at);
    if (found < 0) return html.length;
    if (html.slice(found + 2, found + 2 + name.length).toLowerCase() === name) return found;
    at = found + 2;
  }
}

function plain(text: string): string {
  const decoded = text.replace(/&(#x[0-9a-f]{1,6}|#\d{1,7}|[a-z]{2,6});/gi, (whole, inner: string) => {
    if (!inner.startsWith('#')) return entities[inner.toLowerCase()] ?? whole;
    const code = inner[1].toLowerCase() === 'x' ? Number.parseInt(inner.slice(2), 16) : Number(inner.slice(1));
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '';
  });
  return decoded
    .split('\n')
    .map((line) => line.replace(/\s+/gu, ' ').trim())
    .filter(Boolean)
    .join('\n');
}
