// @ts-check
// The README's quick start as a program: read from the page, turned into the kinds of module that
// users have, started, and watched until a message has gone from one end to the other.
import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { transform } from 'esbuild'
import { codeBlocks } from './doc-blocks.mjs'
import { ROOT } from './run.mjs'

const PATIENCE_MS = 30_000

/** @typedef {'server' | 'client'} Side */

/** @param {Side} side @returns {string} the TypeScript after `<!-- quick-start:server -->` or `:client` */
export function quickStart(side) {
  const readme = join(ROOT, 'README.md')
  if (!existsSync(readme)) throw new Error('README.md does not exist')
  const block = codeBlocks(readme).find(({ marker }) => marker === `quick-start:${side}`)
  if (block === undefined) {
    throw new Error(`README.md has no code block after <!-- quick-start:${side} -->`)
  }
  return block.code
}

const IMPORT = /^import\s+([^'"]*?)\s+from\s+(['"][^'"]+['"]);?[ \t]*$/gm

/**
 * The imports, and all the rest in a function: a CommonJS module has no top-level `await`.
 *
 * @param {string} code ES module
 * @param {(names: string, module: string) => string} [asImport] how an import is written instead
 */
export function withoutTopLevelAwait(code, asImport) {
  const imports = [...code.matchAll(IMPORT)].map(([line, names = '', module = '']) =>
    asImport === undefined ? line : asImport(names, module),
  )
  const body = code.replaceAll(IMPORT, '')
  return `${imports.join('\n')}\n\nasync function main() {\n${body}\n}\n\nvoid main()\n`
}

/** @param {string} code ES module, JavaScript @returns {string} what one without ES modules writes */
const asCommonJs = (code) =>
  withoutTopLevelAwait(
    code,
    (names, module) => `const ${names.replaceAll(/\bas\b/g, ':')} = require(${module})`,
  )

/** @returns {Promise<number>} a port of the loopback that is free now */
function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/** @param {number} port @returns {Promise<boolean>} whether somebody listens at localhost */
function answers(port) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: 'localhost' }, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** @param {string} cwd @param {string} file */
function start(cwd, file) {
  const child = spawn(process.execPath, [file], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const state = { stdout: '', stderr: '', ended: /** @type {string | null} */ (null) }
  child.stdout.on('data', (/** @type {Buffer} */ chunk) => {
    state.stdout += chunk.toString()
  })
  child.stderr.on('data', (/** @type {Buffer} */ chunk) => {
    state.stderr += chunk.toString()
  })
  child.on('close', (code, signal) => {
    state.ended = `ended with ${signal ?? code ?? 'nothing'}`
  })
  const report = () => `${file} ${state.ended ?? 'runs'}\n${state.stdout}${state.stderr}`
  return { state, report, stop: () => child.kill('SIGKILL') }
}

/**
 * @param {() => boolean | Promise<boolean>} condition
 * @param {() => string} otherwise what to say when it does not come true in time
 */
async function until(condition, otherwise) {
  const deadline = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(otherwise())
    await sleep(50)
  }
}

/**
 * Starts the quick start's server, then its client, and waits for the client to print a line: in
 * the README that is the message that came back from the server.
 *
 * @param {string} project folder with the packages installed
 * @param {'mjs' | 'cjs'} kind
 * @returns {Promise<string>} what the client printed
 */
export async function runQuickStart(project, kind) {
  const written = /localhost:(\d+)/.exec(quickStart('client'))?.[1]
  if (written === undefined) throw new Error("the quick start's client names no localhost:<port>")
  const port = await freePort()
  /** @param {Side} side */
  const write = async (side) => {
    const typescript = quickStart(side).replaceAll(written, String(port))
    const { code } = await transform(typescript, { loader: 'ts', format: 'esm', target: 'node20' })
    const file = `quick-start-${side}.${kind}`
    writeFileSync(join(project, file), kind === 'mjs' ? code : asCommonJs(code))
    return file
  }
  const server = start(project, await write('server'))
  let client
  try {
    await until(
      async () => server.state.ended !== null || (await answers(port)),
      () => `nobody listens at localhost:${port}\n${server.report()}`,
    )
    if (server.state.ended !== null) throw new Error(server.report())
    const running = start(project, await write('client'))
    client = running
    await until(
      () => running.state.ended !== null || running.state.stdout.includes('\n'),
      () => `the client printed nothing\n${running.report()}\n${server.report()}`,
    )
    if (!running.state.stdout.includes('\n')) {
      throw new Error(`${running.report()}\n${server.report()}`)
    }
    return running.state.stdout.trim()
  } finally {
    client?.stop()
    server.stop()
  }
}
