import { describe, expect, it } from 'vitest';
import { facts, makeVillage, names, values } from './village.ts';

describe('village-qa', () => {
  const village = makeVillage();
  const pageByTitle = new Map(village.pages.map((page) => [page.title, page.text]));
  const all = [...village.train, ...village.heldOut];

  it('is the same village for the same seed and another for another', () => {
    expect(makeVillage()).toEqual(village);
    expect(makeVillage(1).pages).not.toEqual(village.pages);
  });

  it('writes every answer on its subject’s page, and only one answer of that kind', () => {
    for (const question of all) {
      const page = pageByTitle.get(question.subject)!;
      const found = values[question.fact].filter((value) => new RegExp(`\\b${value}\\b`).test(page));
      expect(found).toEqual(question.answers);
    }
  });

  it('keeps training and held-out facts apart', () => {
    const trained = new Set(village.train.map((question) => `${question.subject}/${question.fact}`));
    expect(village.heldOut.filter((question) => trained.has(`${question.subject}/${question.fact}`))).toEqual([]);
  });

  it('has one answer per question: the search names exactly one page', () => {
    for (const question of all.filter((each) => each.hops === 2)) {
      const pages = village.pages.filter((page) => page.text.includes(`is the ${question.search}.`));
      expect(pages.map((page) => page.title)).toEqual([question.subject]);
    }
  });

  it('asks one- and two-hop questions about every fact, with unique ids', () => {
    expect(new Set(all.map((question) => question.id)).size).toBe(all.length);
    for (const fact of facts)
      for (const hops of [1, 2]) expect(village.heldOut.some((q) => q.fact === fact && q.hops === hops)).toBe(true);
    expect(names.length).toBe(240);
    expect(new Set(names).size).toBe(240);
  });
});
