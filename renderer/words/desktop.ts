/** The desktop window: its menus, its questions, what it says of files and crashes. */
export const desktopWords = {
  menu: {
    file: 'File',
    newTeam: 'New team',
    open: 'Open a team file…',
    recent: 'Open recent',
    noRecent: 'Nothing yet',
    clearRecent: 'Forget these',
    save: 'Save the team',
    edit: 'Edit',
    view: 'View',
    go: 'Go',
    window: 'Window',
    help: 'Help',
    crashes: 'Show kept crash reports',
    version: (version: string) => `Troupe ${version}`,
  },
  files: {
    kind: 'Troupe team',
    dialog: 'Open a team file',
    missing: (path: string) => `No such file: ${path}; was it moved?`,
    notFile: (path: string) => `Not a file: ${path}; choose a .troupe.json file`,
    tooLarge: (name: string, bytes: number, most: number) =>
      `${name} is too large for a team: ${bytes} bytes; at most ${most} are read`,
    unreadable: (path: string) => `${path} cannot be read; check its permissions`,
    notHere: (name: string) =>
      `${name} is no team file and no model; drop a .troupe.json, a .gguf file or a model’s folder`,
  },
  crash: {
    title: 'Troupe cannot go on',
    detail: (reason: string) =>
      `${reason}. What was trained is kept up to its last step; start Troupe again to resume. A report is kept on this machine.`,
    before: (file: string) =>
      `Troupe did not end by itself last time. Everything drawn and trained is kept; a report lies at ${file} and was sent nowhere.`,
  },
  closing: {
    message: (jobs: string) => `Training runs: ${jobs}`,
    job: (title: string, step: number, steps: number) => `${title}, step ${step} of ${steps}`,
    detail: 'It can be paused and resumed later from this very step.',
    quit: 'Pause and quit',
    keep: 'Keep training',
    saving: 'Troupe: saving …',
  },
  update: {
    message: (version: string) => `Troupe ${version} is there.`,
    detail: 'It is downloaded now and installed when you quit. Nothing that runs is interrupted.',
    take: 'Download',
    later: 'Not now',
  },
} as const;
