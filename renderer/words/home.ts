/** Home. */
export const homeWords = {
  home: {
    title: 'Home',
    hello: 'Draw a team of small language models, run it, and train it on this machine.',
    first: 'Train your first team',
    firstWhy:
      'Two roles share the bundled model: one splits a question into searches, one answers from what they find. Watch the held-out score rise.',
    starting: 'Starting…',
    steps: {
      title: 'New here',
      at: (step: number, of: number) => `${step} of ${of}`,
      back: 'Back',
      next: 'Next',
      done: 'Begin',
      close: 'Do not show this again',
      each: [
        {
          what: 'Draw who does what',
          how: 'A team is a drawing: roles with their prompts, tools, and wires between them. Open one below, or begin an empty one in Team. The cast says which model plays which role.',
        },
        {
          what: 'Let it learn on this machine',
          how: 'Training asks questions, rewards good answers and improves the models behind the roles. The curve shows the score on questions they never trained on. Pause whenever you like; nothing is lost.',
        },
        {
          what: 'Look at what happened',
          how: 'Every answer is kept as a trace: what each role read and wrote, token by token, and what reward it got. Change one step and run on from there to see what depended on it.',
        },
      ],
    },
    templates: 'Teams',
    open: (title: string) => `Open ${title}`,
    roles: 'Roles',
    yours: 'yours',
    measured: (time: string, queries: number, model: string) =>
      `Measured here: ${time} a step of ${queries} questions, with ${model}.`,
    recent: 'Recent runs',
    all: (n: number) => (n === 1 ? 'In the table of runs' : `All ${n} runs`),
    loading: 'Reading what is there…',
    columns: {
      run: 'Run',
      team: 'Team',
      cast: 'Cast',
      model: 'Model',
      step: 'Step',
      before: 'Score before',
      after: 'Score now',
      state: 'State',
    },
  },
} as const;
