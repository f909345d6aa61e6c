/**
 * village-qa: a seeded, generated village with a page on every person and questions about them. One-hop questions ask a
 * person's own fact ("Where does Mira live?"); two-hop questions reach the person through another ("Where does the friend
 * of Mira live?"). The notice board uses the very words questions are made of, so a search with the whole question finds
 * the board and not the person: whoever answers well has learned to search for the person. Knows no model and no tokens.
 */
import { generator, pick, shuffled } from '../random.ts';

export type Fact = 'home' | 'trade' | 'pet' | 'food';
export type Relation = (typeof relations)[number];

export type Person = {
  readonly name: string;
  readonly facts: Readonly<Record<Fact, string>>;
  /** Whom this person is the friend, brother … of. */
  readonly relationOf: readonly { readonly relation: Relation; readonly of: string }[];
};

export type Page = { readonly title: string; readonly text: string };

export type VillageQuestion = {
  readonly id: string;
  readonly question: string;
  readonly answers: readonly string[];
  readonly hops: 1 | 2;
  readonly fact: Fact;
  /** The person whose page holds the answer. */
  readonly subject: string;
  /** The search that finds that page: "Mira", "friend of Mira". */
  readonly search: string;
};

export type Village = {
  readonly people: readonly Person[];
  readonly pages: readonly Page[];
  readonly train: readonly VillageQuestion[];
  readonly heldOut: readonly VillageQuestion[];
};

export const facts: readonly Fact[] = ['home', 'trade', 'pet', 'food'];
export const relations = [
  'friend',
  'brother',
  'sister',
  'boss',
  'neighbour',
  'teacher',
  'pupil',
  'aunt',
  'uncle',
  'cousin',
  'nephew',
  'niece',
  'rival',
  'partner',
  'landlord',
  'tenant',
  'guest',
  'guide',
  'guard',
  'cook',
  'twin',
  'helper',
  'godfather',
  'godmother',
] as const;

/** Every value a fact can have. */
export const values: Readonly<Record<Fact, readonly string[]>> = {
  home: [
    'Oakton',
    'Reedham',
    'Millbay',
    'Fernhill',
    'Duskford',
    'Stonely',
    'Larkby',
    'Windrush',
    'Ashmere',
    'Copsely',
    'Harrow',
    'Pinewell',
  ],
  trade: [
    'baker',
    'smith',
    'weaver',
    'miller',
    'healer',
    'scribe',
    'fisher',
    'potter',
    'tailor',
    'hunter',
    'cooper',
    'mason',
  ],
  pet: ['cat', 'dog', 'crow', 'goat', 'mouse', 'owl', 'hen', 'pony'],
  food: ['plums', 'bread', 'trout', 'honey', 'leeks', 'cheese', 'figs', 'stew'],
};

const syllables = ['mi', 'ra', 'to', 'le', 'an', 'ka', 'bo', 'ri', 'su', 'ne', 'da', 'lo', 'fe', 'ti', 'go', 'ju'];

/** The names people can have: 240, each one word. */
export const names: readonly string[] = syllables.flatMap((first) =>
  syllables.filter((second) => second !== first).map((second) => first[0].toUpperCase() + first.slice(1) + second),
);

const sentences: Readonly<Record<Fact, (value: string) => string>> = {
  home: (value) => `lives in ${value}.`,
  trade: (value) => `works as a ${value}.`,
  pet: (value) => `keeps a ${value}.`,
  food: (value) => `likes ${value}.`,
};

const questions: Readonly<Record<Fact, (who: string) => string>> = {
  home: (who) => `Where does ${who} live?`,
  trade: (who) => `What work does ${who} do?`,
  pet: (who) => `What pet does ${who} keep?`,
  food: (who) => `What food does ${who} like?`,
};

/** Pages that hold no person's facts but the questions' own words. */
export const noticeBoard: readonly Page[] = [
  { title: 'Houses', text: 'where does a newcomer live? ask at the mill.' },
  { title: 'Trades', text: 'what work does a newcomer do? ask at the market.' },
  { title: 'Animals', text: 'what pet does a newcomer keep? ask at the market.' },
  { title: 'Kitchen', text: 'what food does a newcomer like? ask at the mill.' },
];

export function drawFacts(random: () => number): Record<Fact, string> {
  return {
    home: pick(random, values.home),
    trade: pick(random, values.trade),
    pet: pick(random, values.pet),
    food: pick(random, values.food),
  };
}

export function pageOf(person: Person): Page {
  const own = facts.map((fact) => sentences[fact](person.facts[fact]));
  const ties = person.relationOf.map(({ relation, of }) => `is the ${relation} of ${of}.`);
  return { title: person.name, text: [...own, ...ties].join(' ') };
}

export function ask(fact: Fact, who: string): string {
  return questions[fact](who);
}

/** The village of one seed: always the same people, pages and split. */
export function makeVillage(seed = 0): Village {
  const random = generator(0x711a6e + seed);
  const people = drawPeople(random);
  const all = people.flatMap((person) => questionsAbout(person));
  const heldOutPeople = new Set(
    shuffled(random, people)
      .slice(0, people.length / 4)
      .map((person) => person.name),
  );
  const mixed = shuffled(random, all);
  return {
    people,
    pages: [...people.map(pageOf), ...noticeBoard],
    train: mixed.filter((question) => !heldOutPeople.has(question.subject)),
    heldOut: mixed.filter((question) => heldOutPeople.has(question.subject)),
  };
}

/**
 * For each relation half of the people have one and the other half are one, so that "friend of Mira" has a single answer
 * and Mira's own page never speaks of being somebody's friend. Many kinds of tie make each a rare word, which a search needs.
 */
function drawPeople(random: () => number): Person[] {
  const tieShare = 4 / relations.length; // about two ties a person
  const ties = new Map<string, { relation: Relation; of: string }[]>(names.map((name) => [name, []]));
  for (const relation of relations) {
    const order = shuffled(random, names);
    const half = order.length / 2;
    for (let i = 0; i < half; i++) if (random() < tieShare) ties.get(order[half + i])!.push({ relation, of: order[i] });
  }
  return names.map((name) => ({
    name,
    facts: drawFacts(random),
    relationOf: shuffled(random, ties.get(name)!).slice(0, 2),
  }));
}

function questionsAbout(person: Person): VillageQuestion[] {
  return facts.flatMap((fact) => {
    const make = (who: string, search: string, hops: 1 | 2): VillageQuestion => ({
      id: `${fact}-${search.toLowerCase().replaceAll(' ', '-')}`,
      question: ask(fact, who),
      answers: [person.facts[fact]],
      hops,
      fact,
      subject: person.name,
      search,
    });
    return [
      make(person.name, person.name, 1),
      ...person.relationOf.map(({ relation, of }) => make(`the ${relation} of ${of}`, `${relation} of ${of}`, 2)),
    ];
  });
}
