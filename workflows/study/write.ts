/**
 * A study's document as files: one HTML page that needs nothing besides itself, and Markdown with its charts as SVG files
 * beside it. All text comes through an escape: names and conclusions are a person's own.
 */
import type { FileOut } from '../../engine/protocol.ts';
import { escapeXml, htmlPage } from '../export/html.ts';
import { bytesOf } from '../workspace/layout.ts';
import { chartSvg } from './chart.ts';
import type { Block, Document } from './report.ts';

const style = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #8885; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; margin: .5rem 0; border-radius: 4px; }
`;

/** `<name>.html`, `<name>.md` and `<name>-<chart>.svg` for each chart. */
export function documentFiles(name: string, document: Document): FileOut[] {
  const charts = document.sections.flatMap(({ blocks }) =>
    blocks.flatMap((block) => (block.kind === 'chart' ? [block.chart] : [])),
  );
  return [
    { name: `${name}.html`, bytes: bytesOf(htmlOf(document)) },
    { name: `${name}.md`, bytes: bytesOf(markdownOf(name, document)) },
    ...charts.map((chart) => ({ name: `${name}-${chart.name}.svg`, bytes: bytesOf(`${chartSvg(chart)}\n`) })),
  ];
}

function htmlOf({ title, sections }: Document): string {
  const body = sections.map(
    ({ title: head, blocks }) => `<h2>${escapeXml(head)}</h2>\n${blocks.map(htmlBlock).join('\n')}`,
  );
  return htmlPage({ title, style, body: body.join('\n') });
}

function htmlBlock(block: Block): string {
  switch (block.kind) {
    case 'text':
      return `<p>${escapeXml(block.text)}</p>`;
    case 'chart':
      return `<figure>${chartSvg(block.chart)}</figure>`;
    case 'table': {
      const row = (cells: readonly string[], tag: 'th' | 'td') =>
        `<tr>${cells.map((cell) => `<${tag}>${escapeXml(cell)}</${tag}>`).join('')}</tr>`;
      return `<table><thead>${row(block.head, 'th')}</thead><tbody>${block.rows.map((cells) => row(cells, 'td')).join('')}</tbody></table>`;
    }
    default:
      return block satisfies never;
  }
}

function markdownOf(name: string, { title, sections }: Document): string {
  const body = sections.map(({ title: head, blocks }) =>
    [`## ${escapeMarkdown(head)}`, ...blocks.map((block) => markdownBlock(name, block))].join('\n\n'),
  );
  return `${[`# ${escapeMarkdown(title)}`, ...body].join('\n\n')}\n`;
}

function markdownBlock(name: string, block: Block): string {
  switch (block.kind) {
    case 'text':
      return escapeMarkdown(block.text);
    case 'chart':
      return `![${escapeMarkdown(block.chart.title)}](${name}-${block.chart.name}.svg)`;
    case 'table': {
      const row = (cells: readonly string[]) => `| ${cells.map((cell) => escapeMarkdown(cell)).join(' | ')} |`;
      return [row(block.head), `|${block.head.map(() => '---').join('|')}|`, ...block.rows.map(row)].join('\n');
    }
    default:
      return block satisfies never;
  }
}

/** Signs that Markdown or the HTML in it would take for its own; an ordinary text comes out as it is. */
function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*<>|]|^(?=[#+-])/gmu, (sign) =>
    sign === '<' ? '&lt;' : sign === '>' ? '&gt;' : `\\${sign}`,
  );
}
