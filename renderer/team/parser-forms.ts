/** Output formats as a form: another kind keeps the port that wires hang on, and what is typed is taken only where it fits. */
import { parserSchema, type Parser } from '../../workflows/schema/workflow.ts';
import { parsedPorts } from '../../workflows/run/parsed-ports.ts';

export const parserKinds = ['text', 'tags', 'fields', 'steps', 'workflow'] as const;

/** The usual format of a kind, giving the same first port. */
export function parserOfKind(kind: (typeof parserKinds)[number], before: Parser): Parser {
  const port = parsedPorts(before)[0]?.name ?? 'answer';
  const { maxChars } = before;
  switch (kind) {
    case 'text':
      return { kind, port, maxChars };
    case 'tags':
      return { kind, tag: 'a', port, min: 1, max: 1, unique: false, strict: true, maxChars };
    case 'fields':
      return {
        kind,
        choose: 'all',
        fields: [{ tag: port.replaceAll('-', '_'), port, optional: false }],
        strict: true,
        maxChars,
      };
    case 'steps':
      return { kind, port, answer: port === 'answer' ? 'final' : 'answer', final: 'final_answer', max: 5, maxChars };
    case 'workflow':
      return parserSchema.parse({ kind, port });
    default:
      return kind satisfies never;
  }
}

/** The format with a change, or null where the result is none. */
export function changedParser(parser: Parser, change: Readonly<Record<string, unknown>>): Parser | null {
  const checked = parserSchema.safeParse({ ...parser, ...change });
  return checked.success ? checked.data : null;
}
