/**
 * The real screens over the fixture controller, for looking at them while they are made: `npx vite renderer`, then
 * /testing/stage.html, or /testing/stage.html?huge for everything at its largest.
 */
import '@fontsource-variable/inter/index.css';
import '@fontsource-variable/jetbrains-mono/index.css';
import '../style/base.css';
import { mount } from 'svelte';
import App from '../app/App.svelte';
import { Session } from '../app/session.svelte.ts';
import { applyTheme, rememberedTheme } from '../app/theme.ts';
import { fixtureController } from './fixture-controller.ts';
import { hugeController } from './huge.ts';

applyTheme(rememberedTheme());
const session = new Session();
const target = document.getElementById('app');
if (!target) throw new Error('stage.html has no #app');
mount(App, { target, props: { session } });
window.addEventListener('hashchange', () => session.followAddress());
const controller = new URLSearchParams(location.search).has('huge') ? hugeController : fixtureController;
void session.open(controller(session.events));
