/** The cast a person has laid out for a workflow, remembered on this machine until it is changed. */
import { castSchema, type Cast } from '../../workflows/schema/cast.ts';
import { recall, remember } from '../app/remember.ts';

function isCast(value: unknown): value is Cast {
  return castSchema.safeParse(value).success;
}

export function boardOf(workflow: string): Cast | null {
  return recall(`cast.${workflow}`, isCast);
}

export function rememberBoard(workflow: string, cast: Cast | null): void {
  remember(`cast.${workflow}`, cast);
}
