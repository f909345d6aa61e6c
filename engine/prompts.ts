/**
 * From a request's prompt to token ids under a model's own tokenizer and chat template, and from a demonstration to its
 * prompt and response ids. Whatever comes from outside is checked here, before it reaches the device.
 */
import { UserError } from './errors.ts';
import type { Tokenizer } from './formats/tokenizer.ts';
import type { BaseModel } from './model/base-model.ts';
import type { Prompt, SftExample } from './protocol.ts';

/** Ids of a prompt; never empty, all within the vocabulary. */
export function encodePrompt(base: BaseModel, prompt: Prompt): number[] {
  const ids = rawIds(base, prompt);
  if (ids.length === 0) throw new UserError('The prompt is empty; give it at least one word');
  return ids;
}

function rawIds(base: BaseModel, prompt: Prompt): number[] {
  if ('ids' in prompt) return checkIds(base, prompt.ids);
  const tokenizer = tokenizerOf(base);
  return 'messages' in prompt ? tokenizer.encodeChat(prompt.messages) : tokenizer.encode(prompt.text);
}

export function tokenizerOf(base: BaseModel): Tokenizer {
  if (!base.tokenizer)
    throw new UserError(
      `The model ${base.name} has no tokenizer.json; download its folder again with all its files, or give token ids`,
    );
  return base.tokenizer;
}

export function checkIds(base: BaseModel, ids: readonly number[]): number[] {
  const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= base.config.vocab);
  if (bad !== undefined)
    throw new UserError(
      `Token id ${bad} is outside the vocabulary of ${base.config.vocab}; encode the text with this model's own tokenizer`,
    );
  return [...ids];
}

export type DemonstrationIds = { readonly promptIds: number[]; readonly ids: number[]; readonly role: string };

/** A response ends with the id that ends a turn under the model's template, as generation would have to. */
export function encodeExample(base: BaseModel, example: SftExample): DemonstrationIds {
  const tokenizer = tokenizerOf(base);
  const end = endId(base, tokenizer, example);
  const ids = [...tokenizer.encode(example.response, { addSpecial: false }), ...(end === null ? [] : [end])];
  return { promptIds: encodePrompt(base, example.prompt), ids, role: example.role };
}

/** What the chat template puts behind an answer, where that is an end id; else the model's first end id. */
function endId(base: BaseModel, tokenizer: Tokenizer, { prompt, response }: SftExample): number | null {
  const ends = [...base.config.eosIds, ...tokenizer.eosIds];
  if (!('messages' in prompt) || ends.length < 2) return ends[0] ?? null;
  const asked = tokenizer.renderChat(prompt.messages);
  const answered = tokenizer.renderChat([...prompt.messages, { role: 'assistant', content: response }], {
    addGenerationPrompt: false,
  });
  const [next] = answered.startsWith(asked + response)
    ? tokenizer.encode(answered.slice(asked.length + response.length), { addSpecial: false })
    : [];
  return next !== undefined && ends.includes(next) ? next : ends[0];
}
