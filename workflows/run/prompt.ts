/**
 * Prompt templates: `{{port}}` is replaced by the value of an input port, once, so that nothing a model or a document says
 * is expanded again. `{{port | numbered}}`, `lines`, `joined` and `json` choose how a list looks; passages are by
 * themselves one "Title: text" a line, steps one "question answer" a line, lists numbered from 1.
 */
import type { ChatMessage } from '../../engine/protocol.ts';
import { UserError } from '../../engine/errors.ts';
import { isPassages, isSteps, isTextList, type Json, type Passage, type Values } from '../schema/value.ts';
import type { Role } from '../schema/workflow.ts';

export const renderings = ['numbered', 'lines', 'joined', 'json'] as const;
export type Rendering = (typeof renderings)[number];

/** Longest prompt that is sent on, in characters. */
export const maxPromptChars = 400_000;

const variable = /\{\{([^{}]{0,200})\}\}/gu;

export type Reference = { port: string; rendering: string | undefined };

/** The ports a template reads, in order of appearance. */
export function references(template: string): Reference[] {
  return [...template.matchAll(variable)].map((match) => reference(match[1]));
}

/** Ports that any part of a role's prompt reads. */
export function promptReferences(role: Role): Reference[] {
  return [role.prompt.system, role.prompt.user].flatMap(references);
}

/** Fills a template. Throws a UserError for a name that no input has or an unknown rendering. */
export function fill(template: string, values: Values, optional: readonly string[] = []): string {
  return template.replace(variable, (_, inner: string) => {
    const { port, rendering } = reference(inner);
    const value = Object.hasOwn(values, port) ? values[port] : undefined;
    if (value === undefined) {
      if (optional.includes(port)) return '';
      throw new UserError(
        `The prompt reads a value that does not reach it: {{${port}}}; connect an input port of that name or take it out of the prompt`,
      );
    }
    return renderValue(value, rendering);
  });
}

/** The messages of one call: system, worked examples, then the real turn. */
export function renderPrompt(role: Role, values: Values, optional: readonly string[] = []): ChatMessage[] {
  const messages: ChatMessage[] = [];
  const system = fill(role.prompt.system, values, optional);
  if (system !== '') messages.push({ role: 'system', content: system });
  for (const example of role.prompt.few) {
    messages.push({ role: 'user', content: example.user }, { role: 'assistant', content: example.assistant });
  }
  messages.push({ role: 'user', content: fill(role.prompt.user, values, optional) });
  const length = messages.reduce((sum, message) => sum + message.content.length, 0);
  if (length > maxPromptChars)
    throw new UserError(
      `The prompt is longer than ${maxPromptChars} characters: ${length}; pass fewer or shorter passages`,
    );
  return messages;
}

export function renderValue(value: Json, rendering?: string): string {
  if (rendering !== undefined && !isRendering(rendering))
    throw new UserError(`Unknown way to show a value: ${rendering}; use one of ${renderings.join(', ')}`);
  if (rendering === 'json') return JSON.stringify(value);
  if (typeof value === 'string') return value;
  if (isPassages(value) && value.length > 0) return renderLines(value.map(passageLine), rendering ?? 'lines');
  if (isSteps(value) && value.length > 0)
    return renderLines(
      value.map((step) => `${step.question} ${step.answer}`),
      rendering ?? 'numbered',
    );
  if (isTextList(value)) return renderLines(value, rendering ?? 'numbered');
  return typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : value === null
      ? ''
      : JSON.stringify(value);
}

export function isRendering(name: string): name is Rendering {
  return (renderings as readonly string[]).includes(name);
}

function passageLine(passage: Passage): string {
  return passage.title === '' ? passage.text : `${passage.title}: ${passage.text}`;
}

function renderLines(lines: readonly string[], rendering: Exclude<Rendering, 'json'>): string {
  switch (rendering) {
    case 'numbered':
      return lines.map((line, index) => `${index + 1}. ${line}`).join('\n');
    case 'lines':
      return lines.join('\n');
    case 'joined':
      return lines.join(', ');
    default:
      return rendering satisfies never;
  }
}

function reference(inner: string): Reference {
  const [port, rendering] = inner.split('|').map((part) => part.trim());
  return { port, rendering };
}
