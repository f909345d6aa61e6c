/**
 * What a search program finds beside the language (after BrowseMaster, arXiv 2508.09129, where a model stands behind the first
 * and the last; here all three are plain functions): `generateKeywords(text, count)` the telling words and names of a text,
 * `batchSearch(queries, k)` a list of {title, text} for each query, `check(passage, condition)` whether most telling words of
 * the condition stand in the passage. It is one line, so that an error's line number is the program's own. A search whose
 * results are not there yet is written out behind a mark and ends the program, which is run again once they are.
 */
const lines = String.raw`(() => {
  const { passages, results, mark, most } = data;
  globalThis.data = passages;
  const print = console.log;
  const { stringify } = JSON;
  const common = new Set('a an the of in on at to for by and or is are was were be been who whom whose what which when where why how does did do has have had that this with from as it its'.split(' '));
  const wordsOf = (text) => String(text).toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
  const telling = (text) => [...new Set(wordsOf(text))].filter((word) => !common.has(word));
  globalThis.generateKeywords = (text, count = 5) => {
    const named = String(text).match(/\p{Lu}[\p{L}\p{N}_]*(?: \p{Lu}[\p{L}\p{N}_]*)*/gu) ?? [];
    const names = named.filter((name) => !common.has(name.toLowerCase()));
    const single = telling(text);
    return [...new Set([...names, single.join(' '), ...single])].filter((each) => each !== '').slice(0, count);
  };
  globalThis.batchSearch = (queries, k = 3) => {
    const list = (Array.isArray(queries) ? queries : [queries]).map((query) => String(query).slice(0, 500)).slice(0, most);
    const count = Math.max(1, Math.min(10, Math.floor(Number(k)) || 1));
    const keys = list.map((query) => count + ' ' + query);
    const missing = keys.filter((key) => !Object.hasOwn(results, key));
    if (missing.length > 0) {
      print(mark + stringify([...new Set(missing)]));
      throw new Error('the search is under way');
    }
    return keys.map((key) => results[key].map((each) => ({ ...each })));
  };
  globalThis.check = (passage, condition) => {
    const text = typeof passage === 'object' && passage !== null ? passage.title + ' ' + passage.text : passage;
    const there = new Set(wordsOf(text));
    const wanted = telling(condition);
    return wanted.length > 0 && wanted.filter((word) => there.has(word)).length >= 0.6 * wanted.length;
  };
})();`;

export const searchLibrary = lines.replace(/\n\s*/gu, ' ');
