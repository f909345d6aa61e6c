/** What the terminal offers beyond its engine: services elsewhere, with keys from the environment, and the person at the keyboard. */
import { createInterface } from 'node:readline/promises';
import type { Outside, PersonTurn } from '../workflows/run/answering.ts';
import { postWith } from '../workflows/run/endpoint-post.ts';
import { openWeb } from '../workflows/tools/web.node.ts';

export function terminalOutside(): Outside {
  return {
    network: { post: postWith(fetch, (name) => process.env[name]) },
    web: openWeb(),
    ...(process.stdin.isTTY ? { ask } : {}),
  };
}

/** Shows a role's turn and reads one line; it speaks on stderr, so that results on stdout stay clean. */
async function ask({ policy, messages }: PersonTurn): Promise<string> {
  process.stderr.write(`\n${messages.map(({ role, content }) => `[${role}] ${content}`).join('\n')}\n`);
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await reader.question(`${policy}> `);
  } finally {
    reader.close();
  }
}
