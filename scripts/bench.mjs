// @ts-check
// `npm run bench -- [--only fan-out] [--pairs 5] [--quick] [--list]`: measures the server beside
// others and writes the results to bench/results/. What it needs is built first.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { build as transpile } from 'esbuild'
import { build } from './build.mjs'
import { ROOT, run, runMain } from './run.mjs'

const SOURCES = join(ROOT, 'bench/src')
const OUTPUT = join(ROOT, 'bench/dist')

/** Types are checked by `npm run types`; here each file only loses them. Nothing is removed: a run may be under way. */
async function compileBench() {
  const entryPoints = readdirSync(SOURCES, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /(?<!\.test)\.ts$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
  await transpile({
    entryPoints,
    outbase: SOURCES,
    outdir: OUTPUT,
    format: 'esm',
    target: 'node20',
    sourcemap: true,
    logLevel: 'warning',
  })
}

await runMain(async () => {
  await build({ page: false })
  await compileBench()
  const args = ['--enable-source-maps', join(OUTPUT, 'main.js'), ...process.argv.slice(2)]
  return (await run(process.execPath, args)).code
})
