/** Burns the fuses into an unpacked copy of Electron: `node --import tsx scripts/fuse.ts PATH_OF_PROGRAM`. */
import { flipFuses } from '@electron/fuses';
import { fuses } from '../electron/fuses.ts';

const program = process.argv[2];
if (!program) {
  console.error('Name the Electron program whose fuses are to be set.');
  process.exit(2);
}
await flipFuses(program, fuses);
console.log(`Fuses are set: ${program}`);
