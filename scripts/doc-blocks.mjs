// @ts-check
// Code blocks of Markdown pages, with where they stand.
import { readFileSync } from 'node:fs'

/**
 * @typedef {object} CodeBlock
 * @property {string} path of the page
 * @property {number} line of the block's first line of code, from 1
 * @property {string} language first word after the fence
 * @property {string} info the rest after the fence
 * @property {string} marker text of an HTML comment on the line before the block, or ''
 * @property {string} code
 */

/** @param {string} path @returns {CodeBlock[]} */
export function codeBlocks(path) {
  const lines = readFileSync(path, 'utf8').split('\n')
  /** @type {CodeBlock[]} */
  const blocks = []
  for (let index = 0; index < lines.length; index += 1) {
    const fence = /^(\s*)(`{3,}|~{3,})\s*(\S*)\s*(.*)$/.exec(lines[index] ?? '')
    if (fence === null) continue
    const [, indent = '', mark = '', language = '', info = ''] = fence
    const before = lines.slice(0, index).findLast((line) => line.trim() !== '') ?? ''
    const code = []
    const start = index + 1
    for (index = start; index < lines.length; index += 1) {
      const line = lines[index] ?? ''
      if (line.trim().startsWith(mark)) break
      code.push(line.startsWith(indent) ? line.slice(indent.length) : line)
    }
    blocks.push({
      path,
      line: start + 1,
      language,
      info,
      marker: /^\s*<!--\s*(.*?)\s*-->\s*$/.exec(before)?.[1] ?? '',
      code: `${code.join('\n')}\n`,
    })
  }
  return blocks
}
