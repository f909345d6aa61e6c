/**
 * The direction of dependencies: renderer → workflows → engine's contract; electron, cli and scripts host them; the engine
 * imports none of the others, and nothing outside it imports TensorFlow.js. The engine's contract is what an outsider may
 * import: types, errors, the typed client, the starters of a worker, the default settings, and the readers of files that
 * hold no tensor operation.
 */
const contract =
  '^engine/(protocol|errors|client|wire|start[.]web|start[.]node|worker|worker[.]node|learn/settings|formats/safetensors|formats/safetensors-write|formats/folder[.]node)[.]ts$';
const test = '([.]test[.]ts$|^tests/|/testing/|test-support)';

module.exports = {
  forbidden: [
    {
      name: 'engine-imports-nothing-of-ours',
      severity: 'error',
      from: { path: '^engine/', pathNot: test },
      to: { path: '^(workflows|renderer|electron|cli|scripts|tests|bench|models)/' },
    },
    {
      name: 'workflows-know-no-host',
      severity: 'error',
      from: { path: '^workflows/', pathNot: test },
      to: { path: '^(renderer|electron|cli|scripts|tests|bench|models)/' },
    },
    {
      name: 'renderer-knows-no-host',
      severity: 'error',
      from: { path: '^renderer/', pathNot: test },
      to: { path: '^(electron|cli|scripts|tests|bench)/' },
    },
    {
      name: 'only-the-engines-contract',
      severity: 'error',
      from: { path: '^(workflows|renderer|electron|cli)/', pathNot: test },
      to: { path: '^engine/', pathNot: contract },
    },
    {
      name: 'tfjs-stays-in-the-engine',
      severity: 'error',
      from: { pathNot: '^(engine|bench|tests/golden)/' },
      to: { path: '@tensorflow/tfjs' },
    },
    {
      name: 'node-only-in-node-files',
      comment: 'The engine and the workflows run in browsers too.',
      severity: 'error',
      from: { path: '^(engine|workflows)/', pathNot: '([.]node[.]ts$|[.]test[.]ts$|/testing/|test-support)' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-circle',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only', 'dynamic-import'] } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|out|test-results)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.mjs', '.js', '.svelte', '.json'],
      mainFields: ['module', 'main'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};
