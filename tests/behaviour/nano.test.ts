/** What the bundled model can and cannot do before any training: the ground the first team stands on. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineApi } from '../../engine/protocol.ts';
import { filesAt } from '../../engine/formats/folder.node.ts';
import { startNodeEngine } from '../../engine/start.node.ts';
import { answerPrompt } from '../../models/curriculum.ts';
import { makeVillage, pageOf } from '../../workflows/tasks/village.ts';

const folder = path.resolve(import.meta.dirname, '../../models/nano');
const questions = 200;

describe.skipIf(!existsSync(path.join(folder, 'model.safetensors')))('nano', () => {
  let engine: EngineApi;
  let close: () => Promise<void>;

  beforeAll(async () => {
    ({ engine, close } = await startNodeEngine({ onToken() {}, onProgress() {}, onDeviceLost() {} }));
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
        sampling: { temperature, topK: 0, topP: 1, minP: 0, maxTokens: 8, stop: [], seed: i },
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
});
