// @ts-check
// `npm run test:node-versions`: the packages' own tests, and those of two parties that need no
// browser, under newer releases of Node. `npm run test:node-versions -- 24` runs one of them.
import { requireNode, run } from './run.mjs'
import { build } from './build.mjs'
import { install, installSystemPackages } from './setup.mjs'

requireNode()
const asked = process.argv.slice(2)
const versions = asked.length > 0 ? asked : ['22', '24']
await install()
await installSystemPackages()
await build()

let failed = 0
for (const version of versions) {
  process.stdout.write(`\nNode ${version}\n`)
  const { code } = await run(
    'npx',
    ['--yes', `--package=node@${version}`, '--', 'node', 'node_modules/vitest/vitest.mjs', 'run'],
    { env: { REALTIME_WITHOUT_BROWSERS: '1' } },
  )
  if (code !== 0) failed += 1
}
process.stdout.write(
  `\n${versions.length - failed} of ${versions.length} versions of Node pass (${versions.join(', ')})\n`,
)
process.exitCode = failed === 0 ? 0 : 1
