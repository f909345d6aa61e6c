/** What the bundled model can and cannot do before any training: the ground the first team stands on. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineApi } from '../../engine/protocol.ts';
import { filesAt } from '../../engine/formats/folder.node.ts';
import { startNodeEngine } from '../../engine/start.node.ts';
import { answerPrompt } from '../../models/curriculum.ts';
import { fill } from '../../workflows/run/prompt.ts';
import { loadTask } from '../../workflows/tasks/index.ts';
import { codePrompts } from '../../workflows/tasks/village-code.ts';
import { functionsOf, programOf } from '../../workflows/tasks/village-functions.ts';
import { makeVillage, pageOf } from '../../workflows/tasks/village.ts';

const folder = path.resolve(import.meta.dirname, '../../models/nano');
const questions = 200;
const programs = Object.values(functionsOf).flat();
const shareOf = (said: readonly string[], wanted: readonly string[]) =>
  said.filter((text, i) => text === wanted[i]).length / said.length;

describe.skipIf(!existsSync(path.join(folder, 'model.safetensors')))('nano', () => {
  let engine: EngineApi;
  let close: () => Promise<void>;

  beforeAll(async () => {
    ({ engine, close } = await startNodeEngine({ onToken() {}, onProgress() {}, onDeviceLost() {}, onTuned() {} }));
    await engine.open('wasm');
    await engine.loadModel('nano', await filesAt(folder));
    await engine.createPolicy({ policy: 'nano', model: 'nano', method: { kind: 'full' }, frozen: true, seed: 0 });
  });
  afterAll(() => close());

  const say = async (prompts: readonly string[], temperature: number) => {
    const said = await engine.generate(
      'nano',
      prompts.map((content, i) => ({
        record: String(i),
        prompt: { messages: [{ role: 'user' as const, content }] },
        sampling: { temperature, topK: 0, topP: 1, minP: 0, maxTokens: 28, stop: [], seed: i },
        keep: false,
      })),
    );
    return said.map(({ text }) => text.replaceAll(' ', ''));
  };

  it('reads: from the right page it answers nine of ten held-out questions, but not surely', async () => {
    const { people, heldOut } = makeVillage();
    const asked = heldOut.slice(0, questions);
    const prompts = asked.map(({ subject, question }) =>
      answerPrompt([pageOf(people.find(({ name }) => name === subject)!)], question),
    );
    const share = (answers: readonly string[]) =>
      answers.filter((text, i) => text === `<a>${asked[i]!.answers[0]!.replaceAll(' ', '')}</a>`).length / asked.length;
    expect(share(await say(prompts, 0))).toBeGreaterThanOrEqual(0.9);
    expect(share(await say(prompts, 1))).toBeLessThan(0.75);
  });

  it('plans and codes: it knows the right plan and program, but they are mostly not its likeliest', async () => {
    const { heldOut } = await loadTask({ name: 'village-code' });
    const wanted = heldOut.map(({ answers }) => programs.find((each) => programOf(each) === answers[0])!);
    const plans = heldOut.map(({ question }) => fill(codePrompts.planner, { question, program: '', reflection: '' }));
    const planned = wanted.map(({ plan }) => `<pseudocode>${plan.replace(' ', '')}</pseudocode>`);
    expect(shareOf(await say(plans, 0), planned)).toBeLessThan(0.65);
    expect(shareOf(await say(plans, 1), planned)).toBeGreaterThan(0.15);
    const codes = wanted.map(({ plan }) => fill(codePrompts.coder, { plan }));
    const coded = wanted.map((each) => `<code>${programOf(each).replaceAll(' ', '')}</code>`);
    const sampled = shareOf(await say(codes, 1), coded);
    expect(sampled).toBeGreaterThan(0.25);
    expect(sampled).toBeLessThan(0.8);
  });
});
