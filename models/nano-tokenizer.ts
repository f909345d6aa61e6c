/**
 * nano's tokenizer and chat template: one token a word, over exactly the words its world is made of. Written as a Hugging
 * Face tokenizer.json, so that nano is an ordinary model folder to us and to everyone else.
 */
import { functionsOf, problemText, programOf, testOf } from '../workflows/tasks/village-functions.ts';
import { ask, facts, names, noticeBoard, pageOf, relations, values, type Person } from '../workflows/tasks/village.ts';
import { reportOf } from '../workflows/tools/unit-tests.ts';

const special = ['<pad>', '<unk>', '<end>', '<system>', '<user>', '<assistant>'] as const;
const tags = ['<q>', '</q>', '<a>', '</a>'] as const;
const codeTags = ['pseudocode', 'code', 'reflection', 'test'].flatMap((tag) => [`<${tag}>`, `</${tag}>`]);

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

/** The words of village-qa. */
export function villageVocabulary(): string[] {
  const found = new Set(everyText().flatMap(words));
  return [...special, ...tags, ...[...found].sort()];
}

/** Those and the words of village-code, which stand behind them: what was learned of the first keeps its place. */
export function nanoVocabulary(): string[] {
  const village = villageVocabulary();
  const found = new Set(everyCodeText().flatMap(words));
  return [...village, ...codeTags, ...[...found].filter((word) => !village.includes(word)).sort()];
}

function everyCodeText(): string[] {
  const functions = Object.values(functionsOf).flat();
  const failures = [
    'AssertionError: undefined is not NaN (test, line 1)',
    "SyntaxError: unexpected token in expression: '' (program, line 1)",
    "SyntaxError: expecting ',' ';' '(' ')' '}' ( ) { } ; , . = + - * (program, line 1)",
    "ReferenceError: 'f' is not defined (test, line 1)",
    'TypeError: not a function, stopped: still running after 1000 ms',
  ];
  return [
    ...functions.flatMap((each) => [each.plan, programOf(each), testOf({ args: [0], result: 0 })]),
    problemText([{ args: [0, 0], result: 0 }]),
    reportOf(failures.map((error) => ({ ok: false, error }))),
    Array.from({ length: 61 }, (_, number) => String(number)).join(' '),
    'Plan: Code: Reflect: Test: it is try again more',
  ];
}

/** tokenizer.json and tokenizer_config.json over a vocabulary. */
export function nanoTokenizer(vocabulary: readonly string[]): { tokenizer: object; config: object } {
  const added = [...special, ...tags, ...codeTags.filter((tag) => vocabulary.includes(tag))].map((content) => ({
    id: vocabulary.indexOf(content),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: (special as readonly string[]).includes(content),
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
