/**
 * What crosses between a page and the main process: the one contract. Pages have no Node, no `ipcRenderer` and no global of
 * ours; they post a message to their own window, and the preload script of that window passes on exactly these.
 * Ports travel beside the message; what is spoken over them is the controller's and the store's own protocol. News is the
 * one message with a content, in the shape of renderer/app/news.ts.
 */

/** What a page of each kind may say. */
export type PageMessages = {
  screen: 'troupe-connect';
  host: 'troupe-host-ready' | 'troupe-host-failed';
};

/** What each kind is told, together with one port; news comes without. */
export type ShellMessages = {
  screen: 'troupe-port' | 'troupe-news';
  host: 'troupe-store' | 'troupe-client';
};

export type WindowKind = keyof PageMessages;

export const pageMessages: { readonly [kind in WindowKind]: readonly PageMessages[kind][] } = {
  screen: ['troupe-connect'],
  host: ['troupe-host-ready', 'troupe-host-failed'],
};

export const shellMessages: { readonly [kind in WindowKind]: readonly ShellMessages[kind][] } = {
  screen: ['troupe-port', 'troupe-news'],
  host: ['troupe-store', 'troupe-client'],
};

/** Longest reason a page may send; the rest is cut. */
export const maxReason = 2_000;
