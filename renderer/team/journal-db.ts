/**
 * The journal's place: one IndexedDB store whose rows are named [team, row]. Each gesture is one transaction, committed at
 * once and asked to be flushed, so neither a killed page nor a killed program loses it. Where the browser refuses storage
 * the editor works on without memory.
 */
import type { Row, RowKey, Writes } from './journal.ts';

const STORE = 'steps';

let opened: Promise<IDBDatabase | null> | null = null;
let database: IDBDatabase | null = null;

function open(): Promise<IDBDatabase | null> {
  opened ??= new Promise((settle) => {
    const request = indexedDB.open('troupe-journal', 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => {
      database = request.result;
      // Another window wants a newer journal: give way rather than block it.
      database.onversionchange = () => database?.close();
      settle(database);
    };
    request.onerror = () => settle(null);
    request.onblocked = () => settle(null);
  });
  return opened.catch(() => null);
}

function range(team: string, from: RowKey = -Infinity, to: RowKey | [] = []): IDBKeyRange {
  return IDBKeyRange.bound([team, from], [team, to]);
}

function wait<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((settle, fail) => {
    request.onsuccess = () => settle(request.result);
    request.onerror = () => fail(request.error ?? new Error('The journal could not be read'));
  });
}

export async function readJournal(team: string): Promise<Row[]> {
  const db = await open();
  if (!db) return [];
  try {
    const store = db.transaction(STORE).objectStore(STORE);
    const [keys, values] = await Promise.all([wait(store.getAllKeys(range(team))), wait(store.getAll(range(team)))]);
    return keys.map((key, at) => ({ key: (key as [string, RowKey])[1], value: values[at] as unknown }));
  } catch {
    return [];
  }
}

/** Teams that have a journal. */
export async function journalNames(): Promise<string[]> {
  const db = await open();
  if (!db) return [];
  const keys = await wait(db.transaction(STORE).objectStore(STORE).getAllKeys()).catch(() => []);
  return [...new Set(keys.map((key) => (key as [string, RowKey])[0]))];
}

/** Begun at once where the database is open, so that it outlives the page even in the same moment. */
export function writeJournal(team: string, { put, cut, drop }: Writes): void {
  const write = (db: IDBDatabase | null): void => {
    if (!db) return;
    try {
      const transaction = db.transaction(STORE, 'readwrite', { durability: 'strict' });
      const store = transaction.objectStore(STORE);
      if (cut !== undefined) store.delete(IDBKeyRange.bound([team, cut], [team, Infinity]));
      if (drop !== undefined) store.delete(IDBKeyRange.bound([team, -Infinity], [team, drop]));
      for (const { key, value } of put) store.put(value, [team, key]);
      transaction.commit();
    } catch {
      // Closed by another window, or full: the drawing stays on the screen, and the draft in its own place.
    }
  };
  if (database) write(database);
  else void open().then(write);
}

export function removeJournal(team: string): void {
  void open().then((db) => db?.transaction(STORE, 'readwrite').objectStore(STORE).delete(range(team)));
}
