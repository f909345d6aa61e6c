/**
 * Who answers for a policy: the engine, a service elsewhere, or a person. The runner asks all the same way and knows none of
 * them; what a place does not have (no network allowed, nobody to ask) is said in a sentence.
 */
import { UserError } from '../../engine/errors.ts';
import type { ChatMessage, GenerateRequest, Generation } from '../../engine/protocol.ts';
import type { Web } from '../tools/web.ts';
import type { Cast } from '../schema/cast.ts';
import { endpointClient, type EndpointClient, type Network } from './endpoint.ts';
import type { Generate } from './runner.ts';

/** What a place offers beyond its engine. */
export type Outside = {
  network?: Network;
  /** Reads pages, for runs that allow the web. */
  web?: Web;
  /** Puts a role's turn to a person and returns what they say. */
  ask?(turn: { policy: string; messages: readonly ChatMessage[] }): Promise<string>;
};

/** Longest text taken from a person. */
const maxSaid = 20_000;

const clients = new WeakMap<Network, EndpointClient>();

/** The web of a place, for a run that allows it. Throws a UserError where there is none. */
export function webOf(outside: Outside | undefined): { web: Web } {
  if (outside?.web === undefined)
    throw new UserError('The web is not read from here; run this team in the terminal, or without --allow-web');
  return { web: outside.web };
}

/** Asks whoever the cast says; `engine` answers for policies that are models of this machine. */
export function answering(cast: Pick<Cast, 'policies'>, engine: Generate, outside: Outside = {}): Generate {
  return (policy, requests) => {
    const by = cast.policies[policy]?.by;
    switch (by?.kind) {
      case undefined:
        return engine(policy, requests);
      case 'endpoint': {
        if (outside.network === undefined)
          throw new UserError(`Services elsewhere are not asked from here: ${by.url}; run this team in the terminal`);
        return clientOf(outside.network)(by, requests);
      }
      case 'person':
        return askPerson(policy, requests, outside);
      default:
        return by satisfies never;
    }
  };
}

function clientOf(network: Network): EndpointClient {
  const known = clients.get(network) ?? endpointClient(network);
  clients.set(network, known);
  return known;
}

/** One turn after the other. */
async function askPerson(
  policy: string,
  requests: readonly GenerateRequest[],
  { ask }: Outside,
): Promise<Generation[]> {
  if (ask === undefined)
    throw new UserError(
      `There is nobody to ask here for the policy ${policy}; use "troupe run" in a terminal, or give the role a model`,
    );
  const answers: Generation[] = [];
  for (const { record, prompt } of requests) {
    const messages = 'messages' in prompt ? prompt.messages : [];
    const text = (await ask({ policy, messages })).slice(0, maxSaid);
    answers.push({ record, promptIds: [], ids: [], pieces: [], text, logprobs: [], entropy: [], finish: 'stop' });
  }
  return answers;
}
