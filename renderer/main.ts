/** Entry of the visible page: theme first, then the shell, then the controller; the page is drawn while the device opens. */
import '@fontsource-variable/inter/index.css';
import '@fontsource-variable/jetbrains-mono/index.css';
import './style/base.css';
import { mount } from 'svelte';
import { webWire } from '../engine/client.ts';
import { connectController } from '../workflows/controller-client.ts';
import App from './app/App.svelte';
import { sentence, Session } from './app/session.svelte.ts';
import { applyTheme, followSystemTheme, rememberedTheme } from './app/theme.ts';
import { controllerPort } from './connect.ts';

applyTheme(rememberedTheme());
followSystemTheme(rememberedTheme);

const session = new Session();
const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');
mount(App, { target, props: { session } });

window.addEventListener('hashchange', () => session.followAddress());
controllerPort((reason) => session.fail(reason))
  .then((port) => session.open(connectController(webWire(port), session.events)))
  .catch((failure: unknown) => session.fail(sentence(failure)));
