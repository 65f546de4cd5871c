// @ts-check
// `npm start`: from a fresh clone to the running chat. Installs, builds what is stale, then
// becomes the playground's own start, so that signals and the exit code are its own.
import { build } from './build.mjs'
import { requireNode } from './run.mjs'
import { install } from './setup.mjs'

requireNode()
try {
  await install()
  await build()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
await import(new URL('../examples/playground/start.mjs', import.meta.url).href)
