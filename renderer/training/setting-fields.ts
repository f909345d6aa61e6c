/**
 * Settings as text fields: which a form shows at once and which behind "all settings", what is wrong with a text, and the
 * values that are sent. An empty text is no value; the controller's default holds.
 */
import { LARGE } from '../../engine/learn/settings.ts';
import { allows, settingFields, type SettingField } from '../../workflows/schema/settings.ts';
import { words } from '../words.ts';

export type SettingGroup = keyof typeof settingFields;
export type Texts = Readonly<Record<string, string>>;

const said: Readonly<Record<string, { readonly label: string; readonly hint: string }>> = words.settings;
const order = Object.keys(said);
const place = ({ key }: SettingField): number => (order.includes(key) ? order.indexOf(key) : order.length);

/** Every setting of a group in the order of the words; one that nobody has put into words yet comes last. */
function all(group: SettingGroup): readonly SettingField[] {
  return settingFields[group].toSorted((a, b) => place(a) - place(b));
}

const first: Readonly<Record<SettingGroup, readonly string[]>> = {
  run: ['steps', 'queries', 'samples', 'seed', 'evalEvery', 'evalLimit', 'checkpointEvery'],
  ppo: ['lr', 'estimator', 'whiten'],
  sft: ['lr', 'minScore', 'epochs'],
};

/** What most runs set, and the rest. */
export function shownFirst(group: SettingGroup): readonly SettingField[] {
  return all(group).filter(({ key }) => first[group].includes(key));
}
export function shownMore(group: SettingGroup): readonly SettingField[] {
  return all(group).filter(({ key }) => !first[group].includes(key));
}

/** What a branch may change of how long it goes on and what it keeps. */
const branchKeys = ['steps', 'queries', 'samples', 'seed', 'evalEvery', 'evalLimit', 'checkpointEvery'];
export function branchable({ key }: SettingField): boolean {
  return branchKeys.includes(key);
}

export function labelOf(key: string): string {
  return said[key]?.label ?? key;
}
export function hintOf(key: string): string {
  return said[key]?.hint ?? '';
}

/** Choices are named as the terminal and the frozen configuration name them. */
export function choiceLabel(choice: string | boolean): string {
  return typeof choice === 'string' ? choice : words.training.fields[choice ? 'yes' : 'no'];
}

function valueOf(field: SettingField, text: string): unknown {
  if ('choices' in field) return field.choices.find((choice) => String(choice) === text);
  return Number(text);
}

/** A sentence on what is wrong with a text; null for none, and for an empty one. */
export function textProblem(field: SettingField, text: string): string | null {
  if (text.trim() === '' || allows(field, valueOf(field, text.trim()))) return null;
  const label = labelOf(field.key);
  const problems = words.training.problems;
  if ('choices' in field) return problems.choice(label, field.choices.map(choiceLabel).join(', '));
  const [low, high] = [field.low <= -LARGE ? null : field.low, field.high >= LARGE ? null : field.high];
  return problems.number(label, field.whole === true, low, high);
}

/** What is wrong, by setting. */
export function textProblems(group: SettingGroup, texts: Texts): Record<string, string> {
  return Object.fromEntries(
    settingFields[group].flatMap((field) => {
      const problem = textProblem(field, texts[field.key] ?? '');
      return problem === null ? [] : [[field.key, problem]];
    }),
  );
}

/** The values of texts without problems. */
export function textValues(group: SettingGroup, texts: Texts): Record<string, unknown> {
  return Object.fromEntries(
    settingFields[group].flatMap((field) => {
      const text = (texts[field.key] ?? '').trim();
      return text === '' ? [] : [[field.key, valueOf(field, text)]];
    }),
  );
}

/** What holds where a frozen run says nothing; of one way of learning, nothing is left unsaid. */
const unsaid: Readonly<Record<string, string>> = { samples: '1', branch: 'false', keepCheckpoints: 'best' };

export function runDefaults(settings: Readonly<Record<string, unknown>> | undefined): Record<string, string> {
  return settings === undefined ? {} : { ...unsaid, ...flatDefaults(settings) };
}

/** A frozen group as the fields name its values: `{kl: {coef}}` as `kl.coef`. */
export function flatDefaults(frozen: Readonly<Record<string, unknown>> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(frozen ?? {}).flatMap(([key, value]) => {
      if (typeof value !== 'object' || value === null) return [[key, String(value)]];
      return Object.entries(value).map(([inner, one]) => [`${key}.${inner}`, String(one)]);
    }),
  );
}

export function isTexts(value: unknown): value is Texts {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(value).every(([key, text]) => key.length < 60 && typeof text === 'string' && text.length < 200)
  );
}
