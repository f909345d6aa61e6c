/** Pages that need nothing besides themselves: no script, no link, no file beside them. */

type Page = { readonly title: string; readonly style: string; readonly body: string };

/** `body` is HTML whose texts are escaped; the title is not yet. */
export function htmlPage({ title, style, body }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeXml(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeXml(title)}</h1>
${body}
</body>
</html>
`;
}

/** For HTML and SVG, in text and in attributes. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/gu, (char) => `&#${char.codePointAt(0)};`);
}
