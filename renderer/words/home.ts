/** Home. */
export const homeWords = {
  home: {
    title: 'Home',
    hello: 'Draw a team of small language models, run it, and train it on this machine.',
    first: 'Train your first team',
    firstWhy:
      'Two roles share the bundled model: one splits a question into searches, one answers from what they find. Watch the held-out score rise.',
    starting: 'Starting…',
    templates: 'Teams',
    open: (title: string) => `Open ${title}`,
    roles: 'Roles',
    yours: 'yours',
    recent: 'Recent runs',
    noRuns: 'No runs yet.',
    columns: {
      run: 'Run',
      team: 'Team',
      cast: 'Cast',
      model: 'Model',
      step: 'Step',
      before: 'F1 before',
      after: 'F1 now',
      state: 'State',
    },
  },
} as const;
