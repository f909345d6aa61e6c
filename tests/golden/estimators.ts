/**
 * Advantages, group estimators, KL estimates and sampling distributions against their references. Rows of a fixture are
 * responses with a mask; the engine works on flat responses, so each row's unmasked tokens become one.
 */
import type * as tfjs from '@tensorflow/tfjs';
import { gae } from '../../engine/learn/gae.ts';
import { groupAdvantages, type GroupEstimator } from '../../engine/learn/groups.ts';
import { klEstimate, klTensor } from '../../engine/learn/kl.ts';
import { importanceWeights } from '../../engine/learn/ppo-step.ts';
import { whiten } from '../../engine/learn/whiten.ts';
import { warpedProbabilities } from '../../engine/rollout/sample.ts';
import { openFixture } from './fixture.node.ts';
import type { Fixture } from './fixture.ts';
import { largestError, type Checks } from './report.ts';

type Tf = typeof tfjs;
const ALLOWED = 1e-5;

export async function checkEstimators(path: string, checks: Checks): Promise<void> {
  const fixture = await openFixture(path);
  if (fixture === null) return checks.skipped('all', `no ${path}`);
  if (fixture.has('rewards')) await checkGae(fixture, checks);
  if (fixture.has('group.scores')) await checkGroups(fixture, checks);
  if (fixture.has('kl.logp')) await checkKl(fixture, checks);
  if (fixture.has('sample.logits')) await checkSampling(fixture, checks);
}

/** Flat positions of the unmasked tokens, row after row, and where each row starts. */
type Rows = { readonly places: readonly number[]; readonly starts: Uint32Array };

function unmasked(mask: Float32Array, length: number): Rows {
  const places: number[] = [];
  const starts = [0];
  for (let row = 0; row < mask.length / length; row++) {
    for (let t = 0; t < length; t++) if (mask[row * length + t] > 0) places.push(row * length + t);
    starts.push(places.length);
  }
  return { places, starts: Uint32Array.from(starts) };
}

async function checkGae(fixture: Fixture, checks: Checks): Promise<void> {
  const { places, starts } = unmasked(await fixture.floats('mask'), fixture.shape('mask')[1]);
  const take = async (name: string) => {
    const all = await fixture.floats(name);
    return Float32Array.from(places, (place) => all[place]);
  };
  const [rewards, values] = [await take('rewards'), await take('values')];
  const kinds = fixture.names.filter((name) => /^gae_[\d.]+_[\d.]+\.advantages$/.test(name));
  for (const name of kinds) {
    const at = name.slice(0, -'.advantages'.length);
    const [gamma, lambda] = at.split('_').slice(1).map(Number);
    const { advantages, returns } = gae(rewards, values, starts, gamma, lambda);
    const one = Array.from({ length: starts.length - 1 }, () => '');
    checks.measured(`${at} advantages`, largestError(advantages, await take(name)), ALLOWED);
    checks.measured(`${at} returns`, largestError(returns, await take(`${at}.returns`)), ALLOWED);
    checks.measured(
      `${at} whitened`,
      largestError(whiten(advantages, starts, one), await take(`${at}.whitened`)),
      ALLOWED,
    );
  }
}

async function checkGroups(fixture: Fixture, checks: Checks): Promise<void> {
  const scores = await fixture.floats('group.scores');
  const groups = Array.from(await fixture.ints('group.ids'), String);
  const estimators: readonly GroupEstimator[] = ['grpo', 'rloo', 'dr-grpo'];
  for (const estimator of estimators) {
    checks.measured(
      estimator,
      largestError(
        groupAdvantages(scores, groups, estimator),
        await fixture.floats(`group.${estimator.replace('-', '_')}`),
      ),
      ALLOWED,
    );
  }
}

async function checkKl(fixture: Fixture, checks: Checks): Promise<void> {
  const [logp, reference] = [await fixture.floats('kl.logp'), await fixture.floats('kl.ref')];
  for (const kind of ['k1', 'k2', 'k3'] as const) {
    checks.measured(
      `KL ${kind}`,
      largestError(
        logp.map((lp, i) => klEstimate(lp, reference[i], kind)),
        await fixture.floats(`kl.${kind}`),
      ),
      ALLOWED,
    );
  }
}

/** What the losses compute on the device: KL estimates and truncated importance weights as tensors. */
export async function checkLossTerms(tf: Tf, path: string, checks: Checks): Promise<void> {
  const fixture = await openFixture(path);
  if (fixture === null) return checks.skipped('loss terms', `no ${path}`);
  const vector = async (name: string) => tf.tensor1d(await fixture.floats(name));
  const compare = async (what: string, found: tfjs.Tensor, wanted: string) => {
    checks.measured(what, largestError(await found.data(), await fixture.floats(wanted)), ALLOWED);
    found.dispose();
  };
  if (fixture.has('kl.logp')) {
    const [logp, reference] = [await vector('kl.logp'), await vector('kl.ref')];
    for (const kind of ['k1', 'k2', 'k3'] as const)
      await compare(
        `KL ${kind}`,
        tf.tidy(() => klTensor(logp, reference, kind)),
        `kl.${kind}`,
      );
    tf.dispose([logp, reference]);
  }
  if (!fixture.has('tis.old')) return;
  const [old, behaviour] = [await vector('tis.old'), await vector('tis.behaviour')];
  for (const name of fixture.names.filter((each) => /^tis\.weight_c[\d.]+$/.test(each))) {
    const cap = Number(name.slice('tis.weight_c'.length));
    await compare(
      `importance weights, at most ${cap}`,
      tf.tidy(() => importanceWeights(old, behaviour, cap)),
      name,
    );
  }
  tf.dispose([old, behaviour]);
}

/** sample.t0.7_k20_p0.9: what is cut is in the name. */
async function checkSampling(fixture: Fixture, checks: Checks): Promise<void> {
  const logits = await fixture.floats('sample.logits');
  const [rows, vocab] = fixture.shape('sample.logits');
  for (const name of fixture.names.filter((each) => /^sample\.t[\d.]+/.test(each))) {
    const setting = (letter: string, off: number) =>
      Number(new RegExp(`(?:\\.|_)${letter}([\\d.]+)(?:_|$)`).exec(name)?.[1] ?? off);
    const warp = {
      temperature: setting('t', 1),
      topK: setting('k', 0),
      topP: setting('p', 1),
      minP: setting('minp', 0),
    };
    const wanted = await fixture.floats(name);
    let worst = 0;
    for (let row = 0; row < rows; row++) {
      const error = largestError(
        warpedProbabilities(logits.subarray(row * vocab, (row + 1) * vocab), warp),
        wanted.subarray(row * vocab, (row + 1) * vocab),
      );
      worst = Number.isNaN(error) ? NaN : Math.max(worst, error);
    }
    checks.measured(`sampling ${name.slice('sample.'.length)}`, worst, ALLOWED);
  }
}
