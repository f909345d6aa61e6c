/** A name no other workflow has: my-qd-answer, my-qd-answer-2, … */
export function copyName(name: string, taken: readonly string[]): string {
  const base = name.startsWith('my-') ? name : `my-${name}`;
  let candidate = base.slice(0, 60);
  for (let number = 2; taken.includes(candidate); number++) candidate = `${base.slice(0, 60)}-${number}`;
  return candidate;
}
