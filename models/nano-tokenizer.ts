/**
 * nano's tokenizer and chat template: one token a word, over exactly the words its world is made of. Written as a Hugging
 * Face tokenizer.json, so that nano is an ordinary model folder to us and to everyone else.
 */
import { ask, facts, names, noticeBoard, pageOf, relations, values, type Person } from '../workflows/tasks/village.ts';

const special = ['<pad>', '<unk>', '<end>', '<system>', '<user>', '<assistant>'] as const;
const tags = ['<q>', '</q>', '<a>', '</a>'] as const;

const chatTemplate =
  "{% for message in messages %}{{ '<' + message['role'] + '> ' + message['content'] + ' ' }}" +
  "{% if message['role'] != 'system' %}{{ '<end> ' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

/** Words and punctuation of a text, as the pre-tokenizer below cuts it. */
function words(text: string): string[] {
  return text.match(/\w+|[^\w\s]+/g) ?? [];
}

function everyText(): string[] {
  const person: Person = {
    name: names[0],
    facts: { home: values.home[0], trade: values.trade[0], pet: values.pet[0], food: values.food[0] },
    relationOf: relations.map((relation) => ({ relation, of: names[0] })),
  };
  return [
    ...names,
    ...facts.flatMap((fact) => values[fact]),
    ...facts.map((fact) => ask(fact, `the friend of ${names[0]}`)),
    pageOf(person).text,
    ...noticeBoard.flatMap((page) => [page.title, page.text]),
    'Search: Question: Answer: Passages: yes no and or a an who which how when why is was are in of to from by with for not',
  ];
}

export function nanoVocabulary(): string[] {
  const found = new Set(everyText().flatMap(words));
  return [...special, ...tags, ...[...found].sort()];
}

/** tokenizer.json and tokenizer_config.json. */
export function nanoTokenizer(): { tokenizer: object; config: object } {
  const vocabulary = nanoVocabulary();
  const added = [...special, ...tags].map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: id < special.length,
  }));
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: null,
    decoder: null,
    model: {
      type: 'WordLevel',
      vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
      unk_token: '<unk>',
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: 512,
    eos_token: '<end>',
    pad_token: '<pad>',
    unk_token: '<unk>',
    clean_up_tokenization_spaces: false,
    chat_template: chatTemplate,
  };
  return { tokenizer, config };
}
