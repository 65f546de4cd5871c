// @ts-check
// Starting other programs with progress that a person can watch. Runs before anything is installed.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Seconds since `startedAt` (ms of `performance.now()`), for people. @param {number} startedAt */
export const elapsed = (startedAt) => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`

/**
 * Stops with a sentence instead of a stack when the Node that runs is too old for us.
 */
export function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  process.stderr.write(`Node 20.19 or newer is needed; this is ${process.versions.node}.\n`)
  process.exit(1)
}

/**
 * Runs a command in the repository's root: what it returns is the exit code, what it throws a
 * sentence and 1.
 *
 * @param {() => Promise<number>} main
 */
export async function runMain(main) {
  requireNode()
  process.chdir(ROOT)
  try {
    process.exitCode = await main()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd] default: the repository's root
 * @property {Record<string, string>} [env] added to the environment
 * @property {'inherit' | 'capture'} [output] default `inherit`: the program writes to our output
 * @property {string} [waitingFor] says every five seconds, on stderr, that this is still under way
 *
 * @typedef {object} RunResult
 * @property {number} code exit code; 1 when the program could not be started or was killed
 * @property {string} output what it wrote to both streams, when captured
 */

/**
 * Runs a program to its end. Never throws: a program that cannot be started has failed.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<RunResult>}
 */
export function run(command, args, options = {}) {
  const startedAt = performance.now()
  const capture = options.output === 'capture'
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? ROOT,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', capture ? 'pipe' : 'inherit', capture ? 'pipe' : 'inherit'],
    })
    /** @type {Buffer[]} */
    const chunks = []
    const keep = (/** @type {Buffer} */ chunk) => void chunks.push(chunk)
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    const ticker =
      options.waitingFor === undefined
        ? undefined
        : setInterval(() => {
            process.stderr.write(`  … ${options.waitingFor}: ${elapsed(startedAt)}\n`)
          }, 5_000)
    /** @param {number} code @param {string} note */
    const end = (code, note) => {
      clearInterval(ticker)
      resolve({ code, output: Buffer.concat(chunks).toString() + note })
    }
    child.on('error', (error) => end(1, `${command}: ${error.message}\n`))
    child.on('close', (code, signal) => {
      end(code ?? 1, signal === null ? '' : `${command} was ended by ${signal}\n`)
    })
  })
}

/**
 * Runs the command-line tool of an installed package with this very Node, without npx or a shell.
 *
 * @param {string} bin as in `node_modules/.bin`
 * @param {string[]} args
 * @param {RunOptions} [options]
 */
export const runTool = (bin, args, options) =>
  run(process.execPath, [`${ROOT}node_modules/.bin/${bin}`, ...args], options)
