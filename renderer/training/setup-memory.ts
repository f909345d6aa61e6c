/** The set-up form as last filled in; Team's cast board and Train button write into the same one. */
import { recall, remember } from '../app/remember.ts';
import { emptyForm, isSetupForm, type SetupForm } from './setup.ts';

export function recallSetup(): SetupForm {
  return { ...emptyForm, ...recall('setup', isSetupForm) };
}

export function rememberSetup(form: SetupForm): void {
  remember('setup', form);
}

export function changeSetup(change: Partial<SetupForm>): void {
  rememberSetup({ ...recallSetup(), ...change });
}
