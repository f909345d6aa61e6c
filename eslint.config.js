/** Lint rules: what the type checker cannot see, the direction of dependencies, and the house style. */
import svelte from 'eslint-plugin-svelte';
import tseslint from 'typescript-eslint';

const houseRules = {
  '@typescript-eslint/no-explicit-any': 'error',
  '@typescript-eslint/no-floating-promises': 'error',
  '@typescript-eslint/no-misused-promises': [
    'error',
    { checksVoidReturn: { arguments: false, attributes: false, properties: false } },
  ],
  '@typescript-eslint/consistent-type-imports': [
    'error',
    { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
  ],
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  'no-restricted-syntax': [
    'error',
    { selector: 'TSEnumDeclaration', message: 'Use a union of strings.' },
    { selector: 'TSModuleDeclaration[global!=true][declare!=true]', message: 'Use a module.' },
    { selector: 'TSParameterProperty', message: 'Write the field out; the code must be erasable.' },
  ],
  eqeqeq: ['error', 'always', { null: 'ignore' }],
  'no-eval': 'error',
  'no-implied-eval': 'error',
  'no-new-func': 'error',
  'prefer-const': 'error',
};

const typed = { parserOptions: { projectService: true, extraFileExtensions: ['.svelte'] } };

export default [
  { ignores: ['node_modules', 'dist', 'out', 'test-results', 'playwright-report', 'coverage'] },
  {
    files: ['**/*.ts'],
    ignores: ['*.config.ts'],
    languageOptions: { parser: tseslint.parser, ...typed },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: houseRules,
  },
  ...svelte.configs['flat/recommended'].map((config) => ({
    ...config,
    files: config.files ?? ['**/*.svelte', '**/*.svelte.ts'],
  })),
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: {
      parserOptions: { parser: tseslint.parser, projectService: true, extraFileExtensions: ['.svelte'] },
    },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-eval': 'error',
      'prefer-const': 'off',
      'svelte/no-at-html-tags': 'error',
      // Maps and sets are replaced whole, or hold what no screen draws.
      'svelte/prefer-svelte-reactivity': 'off',
      // The only way to write a brace in text.
      'svelte/no-useless-mustaches': 'off',
      // Keys are addresses of our own pages; there is no SvelteKit router whose `resolve` could be used.
      'svelte/no-navigation-without-resolve': 'off',
      // It takes words of the reason after a comma for rule names.
      'svelte/no-unused-svelte-ignore': 'off',
    },
  },
  {
    files: ['**/*.mjs', '*.js', 'renderer/*.js'],
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-eval': 'error',
      'prefer-const': 'error',
      'no-unused-vars': 'error',
      'no-var': 'error',
    },
  },
];
