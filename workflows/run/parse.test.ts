import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FinishReason } from '../../engine/protocol.ts';
import { isOfType } from '../schema/value.ts';
import { parserSchema, type Parser } from '../schema/workflow.ts';
import { parseText } from './parse.ts';
import { parsedPorts } from './parsed-ports.ts';

const one = parserSchema.options[0].parse({ kind: 'tags', tag: 'a', port: 'answer', maxChars: 20 });
const many = parserSchema.options[0].parse({ kind: 'tags', tag: 'q', port: 'questions', min: 1, max: 3, unique: true });
const plain = parserSchema.options[3].parse({ kind: 'text', port: 'answer', maxChars: 20 });

describe('tags', () => {
  it('takes one value between its tags', () => {
    expect(parseText(one, ' <a> Oakton </a>\n', 'stop')).toEqual({ values: { answer: 'Oakton' }, legal: true });
  });

  it('takes several as a list', () => {
    expect(parseText(many, '<q>one</q>\n<q>two</q>', 'stop')).toEqual({
      values: { questions: ['one', 'two'] },
      legal: true,
    });
    expect(parsedPorts(many)[0].type).toBe('list');
    expect(parsedPorts(one)[0].type).toBe('text');
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

describe('tags with an end', () => {
  const search = parserSchema.parse({ kind: 'tags', tag: 'search', port: 'query', end: '<end>' });

  it('take the end as a legal nothing, and only alone', () => {
    expect(parseText(search, ' <end>\n', 'stop')).toEqual({ values: { query: '' }, legal: true });
    expect(parseText(search, '<search>x</search>', 'stop')).toEqual({ values: { query: 'x' }, legal: true });
    expect(parseText(search, '<search>x</search><end>', 'stop').legal).toBe(false);
    expect(parseText(search, '<end', 'stop').legal).toBe(false);
    expect(parseText(parserSchema.parse({ ...search, max: 2 }), '<end>', 'stop').values).toEqual({ query: [] });
  });
});

describe('fields', () => {
  const verdict = parserSchema.parse({
    kind: 'fields',
    fields: [
      { tag: 'verdict', port: 'verdict' },
      { tag: 'critique', port: 'critique', optional: true },
    ],
    maxChars: 20,
  });
  const action = parserSchema.parse({
    kind: 'fields',
    choose: 'one',
    fields: [
      { tag: 'add', port: 'add' },
      { tag: 'update', port: 'update' },
    ],
  });

  it('give each tag its port, in any order', () => {
    expect(parsedPorts(verdict).map((port) => port.name)).toEqual(['verdict', 'critique']);
    const both = { values: { verdict: 'revise', critique: 'too long' }, legal: true };
    expect(parseText(verdict, '<verdict>revise</verdict><critique>too long</critique>', 'stop')).toEqual(both);
    expect(parseText(verdict, '<critique>too long</critique>\n<verdict>revise</verdict>', 'stop')).toEqual(both);
    expect(parseText(verdict, '<verdict>accept</verdict>', 'stop')).toEqual({
      values: { verdict: 'accept', critique: '' },
      legal: true,
    });
    expect(parseText(action, '<update>t2', 'stop-string', ['</update>'])).toEqual({
      values: { add: '', update: 't2' },
      legal: true,
    });
  });

  it.each<[Parser, string, string, Record<string, string>]>([
    [verdict, 'accept', 'no <verdict>', { verdict: 'accept', critique: '' }],
    [verdict, '<critique>x</critique>', 'no <verdict>', { verdict: '', critique: 'x' }],
    [verdict, '<verdict>a</verdict><verdict>b</verdict>', 'more than once', { verdict: 'a', critique: '' }],
    [verdict, '<verdict>a</verdict> b', 'outside', { verdict: 'a', critique: '' }],
    [verdict, '<verdict></verdict>', 'an empty <verdict>', { verdict: '', critique: '' }],
    [verdict, `<verdict>${'a'.repeat(21)}</verdict>`, 'longer', { verdict: 'a'.repeat(20), critique: '' }],
    [verdict, '<verdict>a<critique></verdict>', 'out of place', { verdict: 'a<critique>', critique: '' }],
    [action, '<add>t1</add><update>t1</update>', '2 of <add>, <update>', { add: 't1', update: 't1' }],
    [action, 'add it', '0 of <add>, <update>', { add: 'add it', update: '' }],
  ])('of %# call %j illegal', (parser, said, problem, values) => {
    const parsed = parseText(parser, said, 'stop');
    expect(parsed.legal).toBe(false);
    expect(parsed.problem).toContain(problem);
    expect(parsed.values).toEqual(values);
  });
});

describe('steps', () => {
  const plan = parserSchema.parse({ kind: 'steps', port: 'steps', answer: 'answer', max: 2, maxChars: 20 });
  const first = { question: 'who', answer: 'Mira' };

  it('are questions and answers in turn, then the final answer', () => {
    expect(parsedPorts(plan).map(({ name, type }) => [name, type])).toEqual([
      ['steps', 'steps'],
      ['answer', 'text'],
    ]);
    const said = '<q1>who</q1><a1>Mira</a1>\n<q2>where</q2><a2>Oakton</a2><final_answer>in Oakton</final_answer>';
    expect(parseText(plan, said, 'stop')).toEqual({
      values: { steps: [first, { question: 'where', answer: 'Oakton' }], answer: 'in Oakton' },
      legal: true,
    });
  });

  it.each<[string, string, unknown, string]>([
    ['', 'at the end', [], ''],
    ['Oakton', 'at the end', [], 'Oakton'],
    ['<q1>who</q1><a1>Mira</a1>', 'at the end', [first], 'Mira'],
    ['<final_answer>x</final_answer>', 'no <q1>', [], 'x'],
    ['<q1>who</q1><final_answer>x</final_answer>', 'in turn', [{ question: 'who', answer: 'unknown' }], 'x'],
    ['<a1>Mira</a1><q1>who</q1><final_answer>x</final_answer>', 'in turn', [first], 'x'],
    ['<q2>who</q2><a2>Mira</a2><final_answer>x</final_answer>', 'in turn', [first], 'x'],
    [
      '<q1>who</q1><a1>Mira</a1><q2>Who</q2><a2>Tom</a2><final_answer>x</final_answer>',
      'twice',
      [first, { question: 'Who', answer: 'Tom' }],
      'x',
    ],
    [
      '<q1>who</q1><a1>Mira</a1><q2>b</q2><a2>c</a2><q3>d</q3><a3>e</a3><final_answer>x</final_answer>',
      'more than 2',
      [first, { question: 'b', answer: 'c' }],
      'x',
    ],
    ['<q1>who</q1><a1>Mira</a1><final_answer>x', 'at the end', [first], 'x'],
    ['so <q1>who</q1><a1>Mira</a1><final_answer>x</final_answer>', 'outside', [first], 'x'],
  ])('call %j illegal and still give values', (said, problem, steps, answer) => {
    const parsed = parseText(plan, said, 'stop');
    expect(parsed).toMatchObject({ legal: false, values: { steps, answer } });
    expect(parsed.problem).toContain(problem);
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
        expect(Array.isArray(value)).toBe(parsedPorts(parser)[0].type === 'list');
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

  it('of several tags never throws, keeps its ports and their types', () => {
    const parsers = [
      parserSchema.parse({ kind: 'steps', port: 's', answer: 't', final: 'a', max: 2, maxChars: 9 }),
      parserSchema.parse({
        kind: 'fields',
        choose: 'one',
        fields: [
          { tag: 'a', port: 's' },
          { tag: 'q1', port: 't' },
        ],
        maxChars: 9,
      }),
    ];
    const numbered = fc.oneof(piece, fc.constantFrom('<q1>', '</q1>', '<a1>', '</a1>', '<q2>', '</q2>'));
    const said = fc.array(numbered, { maxLength: 30 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(said, fc.constantFrom(...finishes), fc.constantFrom(...parsers), (given, finish, parser) => {
        const parsed = parseText(parser, given, finish, ['</a>']);
        for (const { name, type } of parsedPorts(parser)) expect(isOfType(parsed.values[name], type)).toBe(true);
        expect(parsed.problem === undefined).toBe(parsed.legal);
        expect((parsed.values['t'] as string).length).toBeLessThanOrEqual(9);
      }),
      { numRuns: 500 },
    );
  });

  it('takes time in proportion to a long hostile text', () => {
    const steps = parserSchema.parse({ kind: 'steps', port: 's', answer: 't', max: 64 });
    expect(parseText(steps, '<q1>'.repeat(50_000), 'stop').legal).toBe(false);
    expect(parseText(steps, '<q1></q1>'.repeat(30_000), 'stop').legal).toBe(false);
    const parsed = parseText(many, '<q>'.repeat(200_000), 'stop');
    expect(parsed.legal).toBe(false);
    expect(parseText(many, '<q></q>'.repeat(100_000), 'stop').legal).toBe(false);
  });
});
