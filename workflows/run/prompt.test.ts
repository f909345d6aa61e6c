import { describe, expect, it } from 'vitest';
import { roleSchema } from '../schema/workflow.ts';
import { fill, maxPromptChars, promptReferences, renderPrompt, renderValue } from './prompt.ts';

describe('fill', () => {
  it('puts values where their ports stand, once', () => {
    expect(fill('Q: {{question}}\n{{ question }}', { question: 'who is {{secret}}?' })).toBe(
      'Q: who is {{secret}}?\nwho is {{secret}}?',
    );
    expect(fill('{{a}}', { a: '$& $1' })).toBe('$& $1');
  });

  it('refuses names no input has, even those every object has', () => {
    expect(() => fill('{{nope}}', {})).toThrow('{{nope}}');
    expect(() => fill('{{constructor}}', {})).toThrow('{{constructor}}');
    expect(fill('[{{maybe}}]', {}, ['maybe'])).toBe('[]');
  });

  it('shows lists and passages as asked', () => {
    const passages = [
      { title: 'Mira', text: 'lives in Oakton.' },
      { title: '', text: 'No title.' },
    ];
    expect(fill('{{p}}', { p: passages })).toBe('Mira: lives in Oakton.\nNo title.');
    expect(fill('{{p | numbered}}', { p: passages })).toBe('1. Mira: lives in Oakton.\n2. No title.');
    expect(fill('{{l}}', { l: ['a', 'b'] })).toBe('1. a\n2. b');
    expect(fill('{{l|lines}} {{l|joined}} {{l|json}}', { l: ['a', 'b'] })).toBe('a\nb a, b ["a","b"]');
    expect(fill('{{l}}{{n}}{{f}}{{o}}', { l: [], n: 2.5, f: true, o: { k: 1 } })).toBe('2.5true{"k":1}');
    expect(() => renderValue('x', 'loudly')).toThrow('loudly');
  });
});

describe('renderPrompt', () => {
  const role = roleSchema.parse({
    title: 'r',
    prompt: { system: 'Be {{how}}.', few: [{ user: 'u {{x}}', assistant: 'a' }], user: '{{q}}' },
    parser: { kind: 'text', port: 'out' },
  });
  it('makes system, examples and the real turn', () => {
    expect(renderPrompt(role, { how: 'brief', q: 'why?' })).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'u {{x}}' },
      { role: 'assistant', content: 'a' },
      { role: 'user', content: 'why?' },
    ]);
    expect(promptReferences(role).map((each) => each.port)).toEqual(['how', 'q']);
  });
  it('refuses a prompt that is far too long', () => {
    expect(() => renderPrompt(role, { how: '', q: 'x'.repeat(maxPromptChars + 1) })).toThrow('longer than');
  });
});
