/** Every sentence and label a person reads, a table for each place. Functions where a value belongs inside. */
import { castWords } from './words/cast.ts';
import { desktopWords } from './words/desktop.ts';
import { homeWords } from './words/home.ts';
import { modelsWords } from './words/models.ts';
import { settingWords } from './words/settings.ts';
import { shellWords } from './words/shell.ts';
import { teamWords } from './words/team.ts';
import { tracesWords } from './words/traces.ts';
import { trainingWords } from './words/training.ts';

export const words = {
  ...shellWords,
  ...homeWords,
  ...teamWords,
  ...castWords,
  ...trainingWords,
  ...settingWords,
  ...tracesWords,
  ...modelsWords,
  desktop: desktopWords,
} as const;
