// @ts-check
// What commands that run for minutes have in common: numbers from the command line, a bar to watch,
// and pieces that the tests share and no package holds.
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const BAR = 30

/**
 * A number from the command line. @param {string} name @param {string} text @returns {number}
 * @throws Error naming the option
 */
export function whole(name, text) {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} must be a whole number above 0, got ${JSON.stringify(text)}`)
}

/** A bar with a text, on a terminal. @param {number} share 0 to 1 @param {string} text */
export function showProgress(share, text) {
  if (!process.stdout.isTTY) return
  const full = Math.round(share * BAR)
  process.stdout.write(`\r${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${text} `)
}

/**
 * Puts a source and what it imports together, and gives its exports. `file` is where its packages are
 * found from.
 *
 * @param {string} source @param {string} file @returns {Promise<unknown>}
 */
export async function importBundled(source, file) {
  await build({
    entryPoints: [source],
    outfile: file,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'warning',
  })
  return import(pathToFileURL(file).href)
}
