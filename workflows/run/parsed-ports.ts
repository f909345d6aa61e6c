/** Which ports each output format writes. Apart from parsing itself, which may need a whole graph to judge a text. */
import type { Parser, Port } from '../schema/workflow.ts';

/** The ports a parser writes. */
export function parsedPorts(parser: Parser): Port[] {
  const port = (name: string, type: Port['type']): Port => ({ name, type, optional: false });
  switch (parser.kind) {
    case 'text':
      return [port(parser.port, 'text')];
    case 'tags':
      return [port(parser.port, parser.max > 1 ? 'list' : 'text')];
    case 'fields':
      return parser.fields.map((field) => port(field.port, 'text'));
    case 'steps':
      return [port(parser.port, 'steps'), port(parser.answer, 'text')];
    case 'workflow':
      return [port(parser.port, 'json'), ...(parser.reasoning === undefined ? [] : [port(parser.reasoning, 'text')])];
    default:
      return parser satisfies never;
  }
}
