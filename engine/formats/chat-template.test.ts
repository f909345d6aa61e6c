import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import { compileChatTemplate } from './chat-template.ts';

const user = [{ role: 'user', content: 'Hi' }] as const;
const render = (source: string, tokens = {}) => compileChatTemplate(source, tokens)(user, true);

describe('chat templates', () => {
  it('render messages, special tokens and the generation prompt', () => {
    const source =
      "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m['content'] | trim }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    const template = compileChatTemplate(source, { bos_token: '<s>' });
    expect(template([{ role: 'system', content: ' Be brief ' }, ...user], true)).toBe(
      '<s>[system]Be brief[user]Hi[assistant]',
    );
    expect(template(user, false)).toBe('<s>[user]Hi');
  });

  it('say why a template refuses', () => {
    expect(() => render("{{ raise_exception('System role not supported') }}")).toThrow(UserError);
    expect(() => render("{{ raise_exception('System role not supported') }}")).toThrow('System role not supported');
    expect(() => render('{{ nothing() }}')).toThrow('refused the messages');
    expect(() => render('{% for')).toThrow('cannot be read');
  });

  it('give no date to a template that can do without', () => {
    expect(render('{% if strftime_now is defined %}{{ strftime_now("%Y") }}{% else %}2024{% endif %}')).toBe('2024');
    expect(render('{{ strftime_now("%Y-%m-%d %%") }}')).toMatch(/^\d{4}-\d\d-\d\d %$/);
  });

  it.each([
    [
      'counts for ever',
      '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}',
      'come to an end',
    ],
    ['asks for a huge range', '{% for i in range(10000000000) %}{% endfor %}', 'counts to'],
    ['asks for a range without end', '{% for i in range(1, 5, 0) %}{% endfor %}', 'counts to'],
    [
      'doubles a text',
      "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
      'more than',
    ],
    ['recurses', '{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}', 'refused'],
    ['multiplies a text', "{{ 'x' * 500000000 }}", 'refused'],
    ['pads a text', "{{ 'x' | indent(400000000, true) }}", 'more than'],
    [
      'walks one long list again and again',
      '{% set x = range(100000) %}{% for i in x %}{% for j in x %}{% endfor %}{% endfor %}',
      'come to an end',
    ],
    ['is a book', 'x'.repeat(200_001), '200001 characters'],
  ])('end one that %s', (_, source, words) => {
    expect(() => render(source)).toThrow(
      expect.objectContaining({ name: 'UserError', message: expect.stringContaining(words) }),
    );
  });
});

it('any text as a template gives a text or a sentence', () => {
  const word = fc.constantFrom(
    '{%',
    '%}',
    '{{',
    '}}',
    '{#',
    '#}',
    ' for ',
    ' in ',
    ' if ',
    ' set ',
    ' endif ',
    ' endfor ',
    ' macro ',
    ' x ',
    '=',
    '(',
    ')',
    '[',
    ']',
    '|',
    '.',
    "'",
    '"',
    '~',
    '-',
    ' messages ',
    ' not ',
    ' is ',
    '0',
    ',',
    ':',
    '{',
    '}',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 25 }), (words) => {
      try {
        expect(typeof render(words.join(''))).toBe('string');
      } catch (error) {
        expect(error).toMatchObject({ name: 'UserError' });
      }
    }),
    { numRuns: 2000 },
  );
});
