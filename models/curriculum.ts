/**
 * What nano is taught: examples drawn from villages that never were, so that it learns to read and to search and not the
 * facts of village-qa. `lessons` are the good way; `habits` mix it with the mediocre ones that real models bring along,
 * so that reinforcement has something to select.
 */
import { pick, shuffled } from '../workflows/random.ts';
import {
  ask,
  drawFacts,
  facts,
  names,
  noticeBoard,
  pageOf,
  relations,
  type Fact,
  type Page,
  type Person,
  type Relation,
} from '../workflows/tasks/village.ts';

/** What is to be said to a prompt; `role` is only counted by. */
export type Demonstration = { readonly role: string; readonly user: string; readonly response: string };

type Scene = {
  readonly person: Person;
  readonly fact: Fact;
  readonly question: string;
  readonly search: string;
  readonly asked: string;
  readonly hops: 1 | 2;
};

/** Questions whose likeliest search is the good one; for the others it is the whole question. */
function searchesWell({ fact, hops }: Scene): boolean {
  return fact === 'home' || (fact === 'food' && hops === 1);
}

function scene(random: () => number): Scene {
  const name = pick(random, names);
  const fact = pick(random, facts);
  const ties = shuffled(random, relations)
    .slice(0, Math.floor(random() * 3))
    .map((relation: Relation) => ({ relation, of: pick(random, names) }));
  const person: Person = { name, facts: drawFacts(random), relationOf: ties };
  const tie = random() < 0.6 && ties.length > 0 ? pick(random, ties) : null;
  if (!tie) return { person, fact, question: ask(fact, name), search: name, asked: name, hops: 1 };
  const search = `${tie.relation} of ${tie.of}`;
  return { person, fact, question: ask(fact, `the ${search}`), search, asked: tie.of, hops: 2 };
}

export function searchPrompt(question: string): string {
  return `Search: ${question}`;
}

export function answerPrompt(pages: readonly Page[], question: string): string {
  return `${pages.map((page) => `${page.title}: ${page.text}`).join('\n')}\nQuestion: ${question}`;
}

function context(random: () => number, s: Scene): Page[] {
  const own = pageOf(s.person);
  return random() < 0.15 ? [pick(random, noticeBoard), own] : [own];
}

/** A good demonstration of one of the two roles; `searching` is the share of searches. */
export function lesson(random: () => number, searching: number): Demonstration {
  const s = scene(random);
  if (random() < searching)
    return { role: 'decomposer', user: searchPrompt(s.question), response: `<q>${s.search}</q>` };
  return {
    role: 'answerer',
    user: answerPrompt(context(random, s), s.question),
    response: `<a>${s.person.facts[s.fact]}</a>`,
  };
}

/** The mixture nano ships with. */
export function habit(random: () => number): Demonstration {
  const s = scene(random);
  return random() < 0.5 ? searchHabit(random, s) : answerHabit(random, s);
}

function searchHabit(random: () => number, s: Scene): Demonstration {
  const u = random();
  const [good, whole, bare] = searchesWell(s) ? [0.5, 0.75, 0.85] : [0.25, 0.8, 0.88];
  const response =
    u < good
      ? `<q>${s.search}</q>`
      : u < whole
        ? `<q>${s.question}</q>`
        : u < bare
          ? s.search
          : `<q>${s.hops === 2 ? s.asked : pick(random, names)}</q>`;
  return { role: 'decomposer', user: searchPrompt(s.question), response };
}

/** The likeliest answer is the right one, so that nano can read; but it is far from sure of itself. */
function answerHabit(random: () => number, s: Scene): Demonstration {
  const u = random();
  const lost = random() < 0.25;
  const pages = lost ? [pick(random, noticeBoard)] : context(random, s);
  const right = s.person.facts[s.fact];
  const neighbour = s.person.facts[facts[(facts.indexOf(s.fact) + 1) % facts.length]];
  const response = lost
    ? `<a>newcomer</a>`
    : u < 0.6
      ? `<a>${right}</a>`
      : u < 0.8
        ? `<a>${neighbour}</a>`
        : u < 0.9
          ? right
          : `<a>${s.person.name}</a>`;
  return { role: 'answerer', user: answerPrompt(pages, s.question), response };
}
