/** The settings of a tool as a form: one field for each, made from the tool's own schema, which also checks what is typed. */
import { z } from 'zod';
import { tools } from '../../workflows/tools/index.ts';

export type ToolField = {
  readonly name: string;
  readonly about: string;
  readonly kind: 'number' | 'flag' | 'choice' | 'text';
  readonly choices: readonly string[];
  readonly value: unknown;
};

type Property = { type?: string; enum?: unknown[]; default?: unknown; description?: string };

export function toolFields(tool: string, settings: Readonly<Record<string, unknown>>): ToolField[] {
  const found = tools.find((one) => one.name === tool);
  if (!found) return [];
  const schema = z.toJSONSchema(found.settings, { io: 'input' }) as { properties?: Record<string, Property> };
  return Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    about: property.description ?? '',
    kind: property.enum ? 'choice' : property.type === 'boolean' ? 'flag' : isNumber(property) ? 'number' : 'text',
    choices: (property.enum ?? []).map(String),
    value: settings[name] ?? property.default,
  }));
}

function isNumber({ type }: Property): boolean {
  return type === 'integer' || type === 'number';
}

/** Whether the tool takes these settings. */
export function takesSettings(tool: string, settings: Readonly<Record<string, unknown>>): boolean {
  return tools.find((one) => one.name === tool)?.settings.safeParse(settings).success ?? false;
}
