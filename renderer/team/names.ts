/** Names a person writes, made into names a workflow file takes: a lower-case letter, then letters, digits, - and _. */

export function slug(text: string, fallback: string): string {
  const made = text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 60);
  return made === '' || made === 'constructor' ? fallback : made;
}

/** The name itself, or with the first free number behind it. */
export function freeName(name: string, taken: readonly string[]): string {
  if (!taken.includes(name)) return name;
  let number = 2;
  while (taken.includes(`${name}-${number}`)) number++;
  return `${name}-${number}`;
}
