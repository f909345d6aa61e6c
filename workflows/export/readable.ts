/**
 * One trace as a document for people: its question, answer and score, then what each node read, said and was rewarded, in the
 * order it happened. As Markdown, or as a page that needs nothing else. What models and tools wrote is shown as it is and can
 * never become markup of the document.
 */
import type { Note } from '../protocol.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import { escapeXml, htmlPage } from './html.ts';

/** Longest value that is written out; a document is for reading. */
const LONGEST = 20_000;

type Part =
  | { readonly kind: 'heading'; readonly text: string }
  | { readonly kind: 'line'; readonly label: string; readonly text: string }
  | { readonly kind: 'block'; readonly label: string; readonly text: string };

/** The parts of a document, whichever way it is written. */
function partsOf(trace: Trace, notes: readonly Note[]): Part[] {
  const own = notes.filter((note) => note.trace === trace.id);
  const scores = Object.entries(trace.score).map(([name, value]) => `${name} ${rounded(value)}`);
  return [
    line('Trace', `${trace.id} (${trace.workflow}, step ${trace.step}, ${trace.phase})`),
    line('Answer', trace.answer ?? 'none'),
    ...(trace.query.answers.length > 0 ? [line('Expected', trace.query.answers.join(' / '))] : []),
    ...(scores.length > 0 ? [line('Score', scores.join(', '))] : []),
    ...(trace.reason === undefined ? [] : [line('Dropped', trace.reason)]),
    ...(trace.fork === undefined
      ? []
      : [line('Fork', `of ${trace.fork.of} at ${trace.fork.record}, by its ${trace.fork.change.kind}`)]),
    ...noted(own.filter(({ record }) => record === undefined)),
    ...trace.records.flatMap((record, i) => [
      ...recordParts(record, i),
      ...noted(own.filter((note) => note.record === record.id)),
    ]),
  ];
}

function recordParts(record: TraceRecord, i: number): Part[] {
  const marks = [
    ...(record.policy === undefined ? [] : [`played by ${record.policy}`]),
    ...(record.legal === undefined ? [] : [record.legal ? 'legal' : `illegal: ${record.problem ?? ''}`]),
    ...(record.length === undefined ? [] : [`${record.length} tokens`]),
    ...(record.finish === undefined ? [] : [`ended by ${record.finish}`]),
  ];
  const rewards = record.rewards.map(({ level, rule, value }) => `${rule} (${level}) ${rounded(value)}`);
  const turn = record.turn > 0 ? `, turn ${record.turn + 1}` : '';
  return [
    { kind: 'heading', text: `${i + 1}. ${record.title || record.node} (${record.kind}${turn})` },
    ...(marks.length > 0 ? [line('', marks.join('; '))] : []),
    ...(record.error === undefined ? [] : [line('Error', record.error)]),
    ...(record.reward === undefined
      ? []
      : [line('Reward', `${rounded(record.reward)}${rewards.length > 0 ? ` = ${rewards.join(' + ')}` : ''}`)]),
    ...(record.prompt ?? []).map((message) => block(message.role, message.content)),
    ...(record.prompt || Object.keys(record.inputs).length === 0 ? [] : [block('read', json(record.inputs))]),
    ...(record.text === undefined ? [] : [block('said', record.text)]),
    ...(Object.keys(record.outputs).length === 0 ? [] : [block('gave', json(record.outputs))]),
  ];
}

function noted(notes: readonly Note[]): Part[] {
  return notes.flatMap(({ text, tags }) => [
    ...(text === '' ? [] : [line('Note', text)]),
    ...(tags.length === 0 ? [] : [line('Tags', tags.join(', '))]),
  ]);
}

const line = (label: string, text: string): Part => ({ kind: 'line', label, text });
const block = (label: string, text: string): Part => ({ kind: 'block', label, text: shortened(text) });
const json = (value: unknown): string => JSON.stringify(value, null, 1);
const rounded = (value: number): string => String(Number(value.toFixed(4)));

function shortened(text: string): string {
  if (text.length <= LONGEST) return text;
  return `${text.slice(0, LONGEST)}\n… (${text.length - LONGEST} more characters)`;
}

export function traceMarkdown(trace: Trace, notes: readonly Note[] = []): string {
  const parts = partsOf(trace, notes).map((part) => {
    if (part.kind === 'heading') return `## ${plain(part.text)}`;
    if (part.kind === 'line') return `${part.label === '' ? '' : `**${part.label}:** `}${plain(part.text)}`;
    const fence = '`'.repeat(Math.max(3, ...[...part.text.matchAll(/`+/g)].map(([run]) => run.length + 1)));
    return `${part.label}:\n\n${fence}text\n${part.text}\n${fence}`;
  });
  return `# ${plain(trace.query.question)}\n\n${parts.join('\n\n')}\n`;
}

/** One line in which nothing is markup. */
function plain(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\\`*_{}[\]<>#|~&!]/g, (sign) => `\\${sign}`);
}

const style = `
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid; border-radius: 6px; padding: 0.5rem 0.75rem; }
h2 { margin-top: 2rem; }
h3 { margin: 0.75rem 0 0.25rem; font-size: 0.9rem; font-weight: 500; }
`;

/** A page of its own. */
export function traceHtml(trace: Trace, notes: readonly Note[] = []): string {
  const parts = partsOf(trace, notes).map((part) => {
    if (part.kind === 'heading') return `<h2>${escapeXml(part.text)}</h2>`;
    if (part.kind === 'line')
      return `<p>${part.label === '' ? '' : `<b>${part.label}:</b> `}${escapeXml(part.text)}</p>`;
    return `<h3>${escapeXml(part.label)}</h3><pre>${escapeXml(part.text)}</pre>`;
  });
  return htmlPage({ title: trace.query.question, style, body: parts.join('\n') });
}
