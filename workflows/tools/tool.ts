/**
 * What a tool is: a step that computes without a model. Its ports follow from its settings; it is opened with what the task
 * offers (a corpus) and must give the same outputs for the same inputs.
 */
import type { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { Json, Passage, Values } from '../schema/value.ts';
import type { Port } from '../schema/workflow.ts';
import type { Web } from './web.ts';

export type ToolContext = {
  /** The task's corpus, or null where questions bring their own paragraphs. */
  corpus: readonly Passage[] | null;
  /** The question's own paragraphs. */
  paragraphs: readonly Passage[];
  /** Reads pages, where the run allows the web. */
  web?: Web;
  /** Aborted when the node's time is over; a tool that works on beyond its call must stop then. */
  signal?: AbortSignal;
};

/** A tool failed but has something to say: `outputs` flow on in place of empty values. */
export class ToolError extends UserError {
  readonly outputs: Values;
  constructor(message: string, outputs: Values) {
    super(message);
    this.outputs = outputs;
  }
}

export type ToolPorts = { inputs: Port[]; outputs: Port[] };

export type Tool<Settings = Record<string, Json>> = {
  name: string;
  title: string;
  description: string;
  /** Settings with their defaults; forms are made from it. */
  settings: z.ZodType<Settings>;
  ports(settings: Settings): ToolPorts;
  /** Throws a UserError for inputs it cannot work on; the error is recorded and the flow goes on, with empty outputs unless it is a ToolError. */
  run(inputs: Values, settings: Settings, context: ToolContext): Values | Promise<Values>;
};
