import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { traceSchema, type Trace } from '../schema/trace.ts';
import { traceHtml, traceMarkdown } from './readable.ts';

function traceOf(text: string): Trace {
  return traceSchema.parse({
    ...{ troupe: 'trace', version: 1, id: '3-train-q', workflow: 'w', phase: 'train', step: 3 },
    query: { id: 'q', question: text, answers: ['Mira'] },
    status: 'done',
    answer: text,
    score: { f1: 0.66667 },
    records: [
      {
        ...{
          id: 'a#1',
          node: 'a',
          kind: 'role',
          title: 'Asker',
          turn: 1,
          parents: [],
          inputs: {},
          outputs: { q: text },
        },
        ...{ policy: 'team', legal: false, problem: 'no tag', length: 4, finish: 'stop', text, reward: -0.5 },
        prompt: [{ role: 'user', content: text }],
        rewards: [{ level: 'role', rule: 'format', value: -0.5, terms: {} }],
      },
    ],
  });
}

describe('a trace as a document', () => {
  it('says what happened, in order, with notes', () => {
    const notes = [
      { trace: '3-train-q', record: 'a#1', text: 'why?', tags: ['odd'], at: '' },
      { trace: 'other', text: 'not here', tags: [], at: '' },
    ];
    const text = traceMarkdown(traceOf('Who'), notes);
    expect(text).toContain('# Who\n');
    expect(text).toContain('**Score:** f1 0.6667');
    expect(text).toContain('## 1. Asker (role, turn 2)');
    expect(text).toContain('**Reward:** -0.5 = format (role) -0.5');
    expect(text).toContain('played by team; illegal: no tag; 4 tokens; ended by stop');
    expect(text.indexOf('**Note:** why?')).toBeGreaterThan(text.indexOf('said:'));
    expect(text).toContain('**Tags:** odd');
    expect(text).not.toContain('not here');
  });

  it('lets nothing that was said become markup', () => {
    const text = 'a ``` b ````\n# no heading\n<script>alert(1)</script> **x** [y](z)';
    const markdown = traceMarkdown(traceOf(text));
    expect(markdown).toContain('`````text\n' + text + '\n`````');
    expect(markdown.split('\n')[0]).not.toMatch(/(?<!\\)[`*[<]/);
    fc.assert(
      fc.property(fc.string(), (said) => {
        const html = traceHtml(traceOf(said));
        const body = html.slice(html.indexOf('<body>'));
        const tags = new Set([...body.matchAll(/<\/?([^\s>]*)/g)].map(([, name]) => name));
        expect([...tags].sort()).toEqual(['b', 'body', 'h1', 'h2', 'h3', 'html', 'p', 'pre']);
      }),
    );
  });

  it('cuts what nobody reads to the end', () => {
    expect(traceMarkdown(traceOf('x'.repeat(30_000))).length).toBeLessThan(150_000);
    expect(traceHtml(traceOf('x'.repeat(30_000)))).toContain('10000 more characters');
  });
});
