/**
 * Tools that run a program written on the way, by a model or a person: each in a sandbox of its language, within limits.
 * What a failed program had printed flows on beside its error, so that a role can read both.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { Limits, Language } from './sandbox/program.ts';
import { runProgram } from './sandbox/run.ts';
import { ToolError, type Tool } from './tool.ts';

export const timeMs = z.int().min(1).max(60_000);
export const memoryMb = z.int().min(16).max(1_024).default(256).describe('memory of the sandbox as a whole, in MiB');

const settingsSchema = z.object({
  timeMs: timeMs.default(5_000).describe('longest run, in milliseconds'),
  memoryMb,
  outputChars: z.int().min(1).max(1_000_000).default(20_000).describe('characters of printed text that are kept'),
});

type Settings = z.infer<typeof settingsSchema>;

export const javascript = programTool('javascript', 'JavaScript');
export const python = programTool('python', 'Python');

function programTool(language: Language, title: string): Tool<Settings> {
  return {
    name: language,
    title,
    description: `Runs a ${title} program in a sandbox and gives what it prints.`,
    settings: settingsSchema,
    ports: () => ({
      inputs: [
        { name: 'program', type: 'text', optional: false },
        { name: 'data', type: 'json', optional: true },
      ],
      outputs: [
        { name: 'output', type: 'text', optional: false },
        { name: 'error', type: 'text', optional: false },
      ],
    }),
    async run({ program, data }, settings, { signal }) {
      if (typeof program !== 'string') throw new UserError('The sandbox needs a text as its program; connect a text');
      const request = { program, test: null, data: JSON.stringify(data ?? null), limits: limitsOf(settings) };
      const { ok, output, error } = await runProgram(language, request, signal);
      if (!ok) throw new ToolError(error!, { output, error });
      return { output, error: '' };
    },
  };
}

export function limitsOf(settings: Settings): Limits {
  return {
    timeMs: settings.timeMs,
    memoryBytes: settings.memoryMb * 2 ** 20,
    outputChars: settings.outputChars,
  };
}
