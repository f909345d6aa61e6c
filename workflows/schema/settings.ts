/**
 * The settings of a run as forms need them: name, and which choices or numbers there are. Read from the schemas that check
 * a run, so that a setting added there is in every form, and a form allows nothing that they refuse.
 */
import { LARGE, ppoKinds, type SettingKind } from '../../engine/learn/settings.ts';
import { z } from 'zod';
import { trainSettingsSchema, tuneSchema } from './run.ts';

export type SettingField = SettingKind & { readonly key: string };

/** As much of JSON Schema as one setting is written in. */
type Property = {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly anyOf?: readonly Property[];
  readonly minimum?: number;
  readonly maximum?: number;
};

function choicesOf({ type, enum: named, const: only, anyOf }: Property): readonly (string | boolean)[] {
  if (anyOf) return anyOf.flatMap((one) => choicesOf(one));
  if (type === 'boolean') return [true, false];
  return named ?? (only === undefined ? [] : [only]);
}

function kindOf(property: Property): SettingKind | null {
  const choices = choicesOf(property);
  if (choices.length > 0) return { choices };
  const { type, minimum = -LARGE, maximum = LARGE } = property;
  if (type !== 'number' && type !== 'integer') return null;
  const range = { low: Math.max(-LARGE, minimum), high: Math.min(Math.max(LARGE, 0xffffffff), maximum) };
  return type === 'integer' ? { ...range, whole: true } : range;
}

/** Groups of settings within a schema are no field of their own. */
function fieldsOf(schema: z.ZodType): SettingField[] {
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input' }) as { properties?: Record<string, Property> };
  return Object.entries(properties).flatMap(([key, property]) => {
    const kind = kindOf(property);
    return kind ? [{ key, ...kind }] : [];
  });
}

/** The length follows from the number of steps. */
const isOwn = ({ key }: SettingField): boolean => key !== 'totalSteps';

export const settingFields = {
  run: fieldsOf(trainSettingsSchema),
  ppo: Object.entries(ppoKinds)
    .map(([key, kind]): SettingField => ({ key, ...kind }))
    .filter(isOwn),
  // The engine knows the ranges of what it shares with PPO.
  sft: fieldsOf(tuneSchema)
    .map((field): SettingField => ({ ...field, ...(ppoKinds[field.key] ?? {}) }))
    .filter(isOwn),
} as const;

/** Whether a value is one that the field allows. */
export function allows(field: SettingField, value: unknown): boolean {
  if ('choices' in field) return field.choices.some((choice) => choice === value);
  const { low, high, whole } = field;
  return typeof value === 'number' && value >= low && value <= high && (!whole || Number.isInteger(value));
}
