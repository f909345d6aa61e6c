/** The inspector's plain parts: completion, preview, output formats, tool settings, rewards tried on a run. */
import { describe, expect, it } from 'vitest';
import { evaluateCondition } from '../../workflows/run/cel.ts';
import { assignRewards } from '../../workflows/rewards/assign.ts';
import { sampleTrace } from '../testing/fixture-controller.ts';
import { sampleWorkflow } from '../testing/sample-workflow.ts';
import { sharedCast } from './cast-board.ts';
import { completed, completionAt } from './completion.ts';
import {
  expressionCompleted,
  expressionCompletionAt,
  functions,
  methods,
  readableByRewards,
} from './expression-completion.ts';
import { changedParser, parserKinds, parserOfKind } from './parser-forms.ts';
import { previewOf } from './preview.ts';
import { addRule, changeRule, received, removeRule, seriesOf, valueKinds, valueOfKind } from './reward-forms.ts';
import { takesSettings, toolFields } from './tool-form.ts';
import { nodeOfRecord } from './trial.svelte.ts';
import { templateNames, templateWorkflow } from '../../workflows/templates/index.ts';
import { parseWorkflow } from '../../workflows/schema/migrate.ts';

const cast = sharedCast(sampleWorkflow, { model: 'nano', method: { kind: 'full' } });

describe('series of a rule', () => {
  it('name a role once, however many nodes play it', () => {
    for (const name of templateNames) {
      const ids = seriesOf(templateWorkflow(name)).map(({ id }) => id);
      expect(new Set(ids).size, name).toBe(ids.length);
    }
    expect(seriesOf(templateWorkflow('m-ask')).map(({ id }) => id)).toContain('answerer.answer');
  });
});

describe('completion', () => {
  it('offers ports inside braces and ways to show a list behind a bar', () => {
    expect(completionAt('Ask {{qu', 8, ['question', 'evidence'])).toEqual({ from: 6, options: ['question'] });
    expect(completionAt('{{evidence | li', 15, [])).toEqual({ from: 13, options: ['lines'] });
    expect(completionAt('{{question}} x', 14, ['question'])).toBeNull();
    expect(completionAt('no braces', 4, ['question'])).toBeNull();
  });
  it('closes the reference once', () => {
    const text = 'Ask {{qu';
    const offer = completionAt(text, 8, ['question']);
    expect(offer && completed(text, 8, offer, 'question')).toEqual({ text: 'Ask {{question}}', caret: 16 });
    const open = completionAt('{{qu}}', 4, ['question']);
    expect(open && completed('{{qu}}', 4, open, 'question').text).toBe('{{question}}');
  });
});

describe('preview', () => {
  const node = sampleWorkflow.nodes.find((one) => one.id === 'answer');
  if (node?.kind !== 'role') throw new Error('the sample has an answering role');
  const role = sampleWorkflow.roles.answerer;
  it('takes the question from the task and names what is not known yet', () => {
    const { messages, unknown } = previewOf(sampleWorkflow, node, role, 'Who?', null);
    expect(messages.at(-1)?.content).toContain('Question: Who?');
    expect(messages.at(-1)?.content).toContain('‹evidence›');
    expect(unknown).toEqual(['evidence']);
  });
  it('says what is wrong with the prompt', () => {
    const broken = { ...role, prompt: { ...role.prompt, user: '{{nothing}}' } };
    expect(previewOf(sampleWorkflow, node, broken, 'Who?', null).problem).toContain('{{nothing}}');
  });
});

describe('output formats', () => {
  it('keep their port from kind to kind and refuse what is none', () => {
    for (const kind of parserKinds) {
      const parser = parserOfKind(kind, sampleWorkflow.roles.decomposer.parser);
      expect(changedParser(parser, {})).toEqual(parser);
      expect(JSON.stringify(parser)).toContain('queries');
    }
    const tags = sampleWorkflow.roles.decomposer.parser;
    expect(changedParser(tags, { max: 5 })).toMatchObject({ max: 5 });
    expect(changedParser(tags, { max: 0 })).toBeNull();
    expect(changedParser(tags, { tag: 'not a tag' })).toBeNull();
  });
});

describe('tool settings', () => {
  it('are a form made from the tool itself', () => {
    const fields = toolFields('bm25', { k: 3 });
    expect(fields.find((field) => field.name === 'k')).toMatchObject({ kind: 'number', value: 3 });
    expect(fields.find((field) => field.name === 'dedupe')).toMatchObject({ kind: 'flag', value: true });
    expect(toolFields('unit-tests', {}).find((field) => field.name === 'language')?.choices).toContain('python');
    expect([takesSettings('bm25', { k: 0 }), takesSettings('bm25', { k: 4 }), takesSettings('gone', {})]).toEqual([
      false,
      true,
      false,
    ]);
  });
});

describe('rewards', () => {
  it('start as rules the format takes', () => {
    for (const kind of valueKinds) {
      const rule = changeRule(addRule(sampleWorkflow, 'answerer'), 1, { value: valueOfKind(kind, sampleWorkflow) });
      expect(() => parseWorkflow(JSON.parse(JSON.stringify(rule)))).not.toThrow();
    }
    expect(changeRule(sampleWorkflow, 0, { weight: 'much' })).toBeNull();
    expect(removeRule(sampleWorkflow, 0).rewards.rules).toEqual([]);
    expect(seriesOf(sampleWorkflow).map(({ id }) => id)).toContain('answerer.answer');
  });
  it('are shown as every record received them', () => {
    const rows = received(assignRewards(sampleWorkflow, cast, sampleTrace(1)));
    expect(rows.map((row) => [row.record, row.total])).toEqual([
      ['decompose#0', -1],
      ['answer#0', 0],
    ]);
    expect(rows[0].rewards.map(({ rule }) => rule)).toContain('format');
  });
});

describe('a running question', () => {
  it('finds the card of a record', () => {
    expect(nodeOfRecord('0-run-question/decompose#0')).toBe('decompose');
    expect(nodeOfRecord('0-run-q/a/group.say#1.2')).toBe('group.say');
  });
});

describe('completion of expressions', () => {
  const readable = readableByRewards(sampleWorkflow);
  const at = (text: string): readonly string[] =>
    expressionCompletionAt(text, text.length, readable, true)?.options ?? [];
  it('offers names, what lies behind a point, and functions', () => {
    expect(at('sco')).toEqual(['score']);
    expect(at('1 + score.')).toContain('f1');
    expect(at('record.out')).toEqual(['outputs']);
    expect(at('record.outputs.')).toContain('answer');
    expect(at('record.inputs.evi')).toEqual(['evidence']);
    expect(at('m')).toEqual(['min', 'max']);
    expect(at('answer.lo')).toEqual(['lower']);
  });
  it('offers nothing in a quoted text, at the end of a whole name, or where nothing is known', () => {
    expect(at('"sco')).toEqual([]);
    expect(at("'it\\'s sco")).toEqual([]);
    expect(at('score')).toEqual([]);
    expect(at('f(1).sc')).toEqual([]);
    expect(at('')).toEqual([]);
    expect(expressionCompletionAt('mi', 2, readable, false)).toBeNull();
  });
  it('puts a name in, and the caret between the brackets of a function', () => {
    expect(expressionCompleted('1 + sco.f1', 7, { from: 4, options: [] }, 'score')).toEqual({
      text: '1 + score.f1',
      caret: 9,
    });
    expect(expressionCompleted('mi', 2, { from: 0, options: [] }, 'min')).toEqual({ text: 'min()', caret: 4 });
    expect(expressionCompleted('mi(1, 2)', 2, { from: 0, options: [] }, 'min').text).toBe('min(1, 2)');
  });
  it('offers only what the language has', () => {
    const calls: Record<(typeof functions)[number] | (typeof methods)[number], string> = {
      f1: 'f1("a", "a") == 1.0',
      em: 'em("a", "a") == 1.0',
      min: 'min(1, 2) == 1.0',
      max: 'max(1, 2) == 2.0',
      abs: 'abs(-1) == 1.0',
      sum: 'sum([1, 2]) == 3.0',
      best: 'best(["a", "b"], [1, 2]) == "b"',
      put: 'put([1], 0, 2) == [2]',
      size: 'size([1]) == 1',
      has: 'has(score.f1)',
      lower: '"A".lower() == "a"',
      trim: '" a ".trim() == "a"',
      contains: '"ab".contains("a")',
      startsWith: '"ab".startsWith("a")',
      endsWith: '"ab".endsWith("b")',
      matches: '"ab".matches("a.")',
      split: '"a b".split(" ") == ["a", "b"]',
      map: '[1].map(x, x + 1) == [2]',
      filter: '[1, 2].filter(x, x > 1) == [2]',
      exists: '[1].exists(x, x == 1)',
      all: '[1].all(x, x == 1)',
    };
    for (const [name, call] of Object.entries(calls))
      expect(evaluateCondition(call, { score: { f1: 1 } }), name).toBe(true);
    expect(Object.keys(calls).sort()).toEqual([...functions, ...methods].sort());
  });
});
