/**
 * One tag a port: `<verdict>accept</verdict><critique>…</critique>`, or with `choose: one` exactly one of several, as when an
 * updater says `<add>` or `<update>`. Fields may stand in any order. Where no tag is found, the first field gets the text.
 */
import type { Values } from '../schema/value.ts';
import type { Parser } from '../schema/workflow.ts';
import type { Parsed } from './parse.ts';
import { cut, scanTags, unclosed, withoutTags, type Scan } from './tags.ts';

type FieldsParser = Extract<Parser, { kind: 'fields' }>;

export function parseFields(parser: FieldsParser, text: string): Parsed {
  const tags = parser.fields.map((field) => field.tag);
  const scan = scanTags(text, tags);
  const problem = fieldsProblem(parser, scan);
  const values: Values = {};
  for (const { tag, port } of parser.fields) {
    const found = scan.found.find((each) => each.tag === tag && each.value !== '')?.value ?? '';
    const open = found === '' && !scan.found.some((each) => each.tag === tag) ? unclosed(text, tag) : null;
    values[port] = cut(open === null ? found : withoutTags(open, tags), parser.maxChars);
  }
  if (Object.values(values).every((value) => value === ''))
    values[parser.fields[0].port] = cut(withoutTags(text, tags), parser.maxChars);
  return problem === undefined ? { values, legal: true } : { values, legal: false, problem };
}

function fieldsProblem(parser: FieldsParser, scan: Scan): string | undefined {
  const count = (tag: string): number => scan.found.filter((each) => each.tag === tag).length;
  const twice = parser.fields.find(({ tag }) => count(tag) > 1);
  if (twice !== undefined) return `<${twice.tag}> more than once`;
  if (parser.choose === 'one' && scan.found.length !== 1)
    return `${scan.found.length} of ${parser.fields.map(({ tag }) => `<${tag}>`).join(', ')}, exactly one needed`;
  const missing = parser.fields.find(({ tag, optional }) => !optional && count(tag) === 0);
  if (parser.choose === 'all' && missing !== undefined) return `no <${missing.tag}>…</${missing.tag}>`;
  const empty = scan.found.find(({ value }) => value === '');
  if (empty !== undefined) return `an empty <${empty.tag}>`;
  if (scan.found.some(({ value }) => value.length > parser.maxChars))
    return `longer than ${parser.maxChars} characters`;
  if (scan.stray) return 'a tag out of place';
  if (parser.strict && scan.outside) return 'text outside the tags';
  return undefined;
}
