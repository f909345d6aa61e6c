import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FinishReason } from '../../engine/protocol.ts';
import { parserSchema, type Parser } from '../schema/workflow.ts';
import { parsedType, parseText } from './parse.ts';

const one = parserSchema.parse({ kind: 'tags', tag: 'a', port: 'answer', maxChars: 20 });
const many = parserSchema.parse({ kind: 'tags', tag: 'q', port: 'questions', min: 1, max: 3, unique: true });
const plain = parserSchema.parse({ kind: 'text', port: 'answer', maxChars: 20 });

describe('tags', () => {
  it('takes one value between its tags', () => {
    expect(parseText(one, ' <a> Oakton </a>\n', 'stop')).toEqual({ values: { answer: 'Oakton' }, legal: true });
  });

  it('takes several as a list', () => {
    expect(parseText(many, '<q>one</q>\n<q>two</q>', 'stop')).toEqual({
      values: { questions: ['one', 'two'] },
      legal: true,
    });
    expect(parsedType(many)).toBe('list');
    expect(parsedType(one)).toBe('text');
  });

  it.each<[string, Parser, string, string, unknown]>([
    ['no tags', one, 'Oakton', 'no <a>', 'Oakton'],
    ['an unclosed tag', one, 'so: <a>Oakton', 'no <a>', 'Oakton'],
    ['a closing tag alone', one, 'Oakton</a>', 'no <a>', 'Oakton'],
    ['text outside', one, 'It is <a>Oakton</a>', 'outside', 'Oakton'],
    ['too many', one, '<a>x</a><a>y</a>', 'at most 1', 'x'],
    ['empty', one, '<a> </a>', 'empty', ''],
    ['too long', one, `<a>${'x'.repeat(21)}</a>`, 'longer', 'x'.repeat(20)],
    ['nested', one, '<a>one <a>two</a>', 'out of place', 'two'],
    ['the same twice', many, '<q>One</q><q>one</q>', 'twice', ['One', 'one']],
    ['four of three', many, '<q>1</q><q>2</q><q>3</q><q>4</q>', 'at most 3', ['1', '2', '3']],
    ['no tags in a list', many, ' where is\n Mira ', 'no <q>', ['where is Mira']],
    ['nothing at all', many, '', 'no <q>', []],
  ])('calls %s illegal and still gives a value', (_, parser, text, problem, value) => {
    const parsed = parseText(parser, text, 'stop');
    expect(parsed.legal).toBe(false);
    expect(parsed.problem).toContain(problem);
    expect(Object.values(parsed.values)).toEqual([value]);
  });

  it('lets text stand outside the tags when not strict', () => {
    expect(parseText(parserSchema.parse({ ...one, strict: false }), 'It is <a>Oakton</a>.', 'stop').legal).toBe(true);
  });

  it('counts a closing tag that the sampler cut as written', () => {
    expect(parseText(one, '<a>Oakton', 'stop-string', ['</a>'])).toEqual({ values: { answer: 'Oakton' }, legal: true });
    expect(parseText(one, '<a>Oakton', 'stop-string', ['\n']).legal).toBe(false);
  });
});

describe('plain text', () => {
  it('is legal when the model ended by itself', () => {
    expect(parseText(plain, ' Oakton\n', 'stop')).toEqual({ values: { answer: 'Oakton' }, legal: true });
    expect(parseText(plain, 'Oakton and', 'length')).toEqual({
      values: { answer: 'Oakton and' },
      legal: false,
      problem: 'not finished within the allowed tokens',
    });
    expect(parseText(plain, '  ', 'stop').problem).toBe('empty');
    expect(parseText(plain, 'x'.repeat(30), 'stop').problem).toContain('longer');
  });
});

describe('any text', () => {
  const finishes: FinishReason[] = ['stop', 'stop-string', 'length', 'context', 'cancelled'];
  const piece = fc.oneof(
    fc.constantFrom('<a>', '</a>', '<q>', '</q>', '<', '>', ' ', '\n', '<a', '\u0000', '💥'),
    fc.string(),
  );
  const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));

  it('never throws, always fills the port, and explains what is illegal', () => {
    fc.assert(
      fc.property(text, fc.constantFrom(...finishes), fc.constantFrom(one, many, plain), (given, finish, parser) => {
        const parsed = parseText(parser, given, finish);
        const value = parsed.values[parser.port];
        const strings = Array.isArray(value) ? value : [value];
        expect(Array.isArray(value)).toBe(parsedType(parser) === 'list');
        for (const each of strings) expect((each as string).length).toBeLessThanOrEqual(parser.maxChars);
        expect(parsed.problem === undefined).toBe(parsed.legal);
        if (parsed.legal) expect(strings.every((each) => each !== '') && strings.length > 0).toBe(true);
        if (finish === 'length') expect(parsed.legal).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('reads back whatever was put between tags', () => {
    const inner = fc
      .string({ minLength: 1, maxLength: 20 })
      .map((each) => each.replace(/[<>]/g, '').trim())
      .filter((each) => each !== '');
    fc.assert(
      fc.property(
        fc.uniqueArray(inner, { minLength: 1, maxLength: 3, selector: (each) => each.toLowerCase() }),
        (values) => {
          const parsed = parseText(many, values.map((value) => `<q>${value}</q>`).join('\n'), 'stop');
          expect(parsed).toEqual({ values: { questions: values }, legal: true });
        },
      ),
    );
  });

  it('takes time in proportion to a long hostile text', () => {
    const parsed = parseText(many, '<q>'.repeat(200_000), 'stop');
    expect(parsed.legal).toBe(false);
    expect(parseText(many, '<q></q>'.repeat(100_000), 'stop').legal).toBe(false);
  });
});
