/**
 * Reads pages from the web, of the hosts that the node names and nothing else, and only where the person who started the run
 * allowed it. Nothing is sent but the address.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { isTextList, type Passage } from '../schema/value.ts';
import { cutPassage } from './bm25.ts';
import { ToolError, type Tool } from './tool.ts';
import { hostSchema, pageText, webLimits, type WebPage } from './web.ts';

const settingsSchema = z.object({
  hosts: z
    .array(hostSchema)
    .min(1)
    .max(webLimits.hosts)
    .describe('hosts that may be read, with all that stand below them'),
  timeMs: z.int().min(100).max(webLimits.timeMs).default(10_000).describe('longest wait for one page, in milliseconds'),
  maxKb: z.int().min(1).max(webLimits.kib).default(1_024).describe('longest page, in KiB'),
  words: z.int().min(0).max(10_000).default(200).describe('words kept of each page; 0 keeps all'),
});

type Settings = z.infer<typeof settingsSchema>;

/** A model's output decides how many addresses come. */
const maxPages = 8;

export const webFetch: Tool<Settings> = {
  name: 'web-fetch',
  title: 'Web page',
  description: 'Reads pages of the hosts it may read. Off until the run allows the web.',
  settings: settingsSchema,
  ports: () => ({
    inputs: [{ name: 'urls', type: 'list', optional: false }],
    outputs: [{ name: 'passages', type: 'passages', optional: false }],
  }),
  async run({ urls: given }, settings, { web, signal }) {
    const urls = typeof given === 'string' ? [given] : isTextList(given) ? given : null;
    if (urls === null) throw new UserError('Reading the web needs a list of addresses; connect a list or a text');
    if (web === undefined)
      throw new UserError(
        'The web is off for this run: web-fetch; allow it where you start it (in the terminal with --allow-web)',
      );
    const { hosts, timeMs, maxKb, words } = settings;
    const passages: Passage[] = [];
    const problems: string[] = [];
    for (const url of urls.slice(0, maxPages)) {
      try {
        passages.push(
          cutPassage(passageOf(await web.read(url, { hosts, timeMs, maxBytes: maxKb * 1_024 }, signal)), words),
        );
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        problems.push(error.message);
      }
    }
    if (problems.length > 0) throw new ToolError(problems[0], { passages });
    return { passages };
  },
};

function passageOf({ url, type, text }: WebPage): Passage {
  if (type !== 'text/html' && type !== 'application/xhtml+xml') return { title: url, text };
  const page = pageText(text);
  return { title: page.title === '' ? url : page.title, text: page.text };
}
