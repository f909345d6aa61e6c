/** One colour a role, by its place in the workflow: Okabe–Ito tones that stay apart in every common colour vision. */
const tones = 7;

export function roleToken(roles: readonly string[], role: string): string {
  const place = roles.indexOf(role);
  return place < 0 ? 'zero' : `role-${(place % tones) + 1}`;
}

export function roleColour(roles: readonly string[], role: string): string {
  return `var(--${roleToken(roles, role)})`;
}
