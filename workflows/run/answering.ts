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
  ask?(turn: PersonTurn): Promise<string>;
};

/** What a person is asked: whom they play, at which node, what the role was told, and how many turns come right after. */
export type PersonTurn = {
  readonly policy: string;
  readonly node: string;
  readonly messages: readonly ChatMessage[];
  readonly left: number;
};

/** Longest text taken from a person. */
const maxSaid = 20_000;

const clients = new WeakMap<Network, EndpointClient>();

/** The web of a place, for a run that allows it. Throws a UserError where there is none. */
export function webOf(outside: Outside | undefined): { web: Web } {
  if (outside?.web === undefined)
    throw new UserError(
      'The web is not read from here; run this team in the desktop window or the terminal, or leave the web off',
    );
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
          throw new UserError(
            `Services elsewhere are not asked from here: ${by.url}; run this team in the desktop window or the terminal`,
          );
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
      `There is nobody to ask here for the policy ${policy}; ask the question in the window or in a terminal, or give the role a model`,
    );
  const answers: Generation[] = [];
  for (const [i, { record, prompt }] of requests.entries()) {
    const messages = 'messages' in prompt ? prompt.messages : [];
    const text = (await ask({ policy, node: nodeOf(record), messages, left: requests.length - 1 - i })).slice(
      0,
      maxSaid,
    );
    answers.push({ record, promptIds: [], ids: [], pieces: [], text, logprobs: [], entropy: [], finish: 'stop' });
  }
  return answers;
}

/** "<trace>/<node>#<visit>" as the runner names its calls. */
function nodeOf(record: string): string {
  return record.slice(record.lastIndexOf('/') + 1).split('#')[0];
}
