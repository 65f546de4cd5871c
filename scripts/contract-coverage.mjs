// @ts-check
// Compares the rule ids that docs/contract.md defines with those that test titles start with, in
// both directions. An id without a test needs an entry in contract-open.json, which names the
// issue that will bring the test; the entry has to go when that issue closes.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import ts from 'typescript'
import { ROOT } from './run.mjs'
import { sourceFiles } from './source-rules.mjs'

const LEADING_IDS = /^((?:\[[A-Z]\d+\])+)/

/** @param {string} title @returns {string[]} `[P4][W12] a resend …` → P4, W12 */
function idsOf(title) {
  const leading = LEADING_IDS.exec(title)?.[1] ?? ''
  return [...leading.matchAll(/[A-Z]\d+/g)].map(([id]) => id)
}

/** @param {string} contract @returns {string[]} ids in bold brackets: `**[T1]**`, `**[R6] …**` */
const definedIds = (contract) =>
  [...contract.matchAll(/\*\*\[([A-Z]\d+)\]/g)].map(([, id]) => id ?? '')

/**
 * The strings of a TypeScript test file that start with rule ids, without those of tests that do
 * not run (`test.skip`, `test.todo`): a promise is not proven by a test that is switched off.
 *
 * @param {string} path
 * @returns {string[]}
 */
function titlesOfTypeScript(path) {
  const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2022, true)
  /** @type {string[]} */
  const titles = []
  /** @param {ts.Node} node */
  const visit = (node) => {
    if (ts.isCallExpression(node) && /\.(skip|todo)\b/.test(node.expression.getText(file))) return
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) titles.push(node.text)
    if (ts.isTemplateExpression(node)) titles.push(node.head.text)
    ts.forEachChild(node, visit)
  }
  visit(file)
  return titles.filter((title) => LEADING_IDS.test(title))
}

/** @param {string} path @returns {string[]} string literals of a Python file that start with ids */
const titlesOfPython = (path) =>
  [...readFileSync(path, 'utf8').matchAll(/["']((?:\[[A-Z]\d+\])+[^"'\n]*)/g)].map(
    ([, title]) => title ?? '',
  )

/** Test files, the suites that other packages run, and the wire suite of both languages. */
function titles() {
  const typescript = sourceFiles(ROOT).filter((path) => {
    const name = relative(ROOT, path).split(sep).join('/')
    return /\.test\.tsx?$/.test(name) || /\/src\/testing\//.test(name) || name.startsWith('e2e/')
  })
  const e2e = join(ROOT, 'e2e')
  const python = existsSync(e2e)
    ? readdirSync(e2e, { withFileTypes: true, recursive: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith('.py'))
        .map((entry) => join(entry.parentPath, entry.name))
        .filter((path) => !path.includes('node_modules'))
    : []
  return [
    ...typescript.flatMap((path) => titlesOfTypeScript(path).map((title) => ({ path, title }))),
    ...python.flatMap((path) => titlesOfPython(path).map((title) => ({ path, title }))),
  ]
}

/**
 * @typedef {object} Open ids whose tests are still to come
 * @property {number[]} closed issues that are closed
 * @property {Record<string, number | 'later'>} open id → issue that brings its test
 */

/**
 * @param {string[]} defined
 * @param {{ path: string, title: string }[]} tests
 * @param {Open} plan
 * @returns {string[]} one sentence for each fault
 */
export function coverageFaults(defined, tests, plan) {
  const known = new Set(defined)
  const tested = new Set(tests.flatMap(({ title }) => idsOf(title)))
  return [
    ...[...known]
      .filter((id) => defined.indexOf(id) !== defined.lastIndexOf(id))
      .map((id) => `[${id}] is defined twice in docs/contract.md`),
    ...[...known]
      .filter((id) => !tested.has(id) && !(id in plan.open))
      .map((id) => `[${id}] has neither a test nor an entry in contract-open.json`),
    ...tests.flatMap(({ path, title }) =>
      idsOf(title)
        .filter((id) => !known.has(id))
        .map((id) => `${relative(ROOT, path)}: "${title}" names [${id}], which is no rule`),
    ),
    ...Object.entries(plan.open).flatMap(([id, issue]) => {
      if (!known.has(id)) return [`contract-open.json: [${id}] is no rule`]
      if (issue !== 'later' && plan.closed.includes(issue)) {
        return [`contract-open.json: [${id}] waits for issue ${issue}, which is closed`]
      }
      return []
    }),
  ]
}

const defined = definedIds(readFileSync(join(ROOT, 'docs/contract.md'), 'utf8'))
const tests = titles()
const plan = /** @type {Open} */ (
  JSON.parse(readFileSync(join(ROOT, 'scripts/contract-open.json'), 'utf8'))
)
const faults = coverageFaults(defined, tests, plan)
for (const fault of faults) process.stdout.write(`${fault}\n`)
const testedIds = new Set(tests.flatMap(({ title }) => idsOf(title)))
process.stdout.write(
  `contract coverage: ${testedIds.size} of ${new Set(defined).size} rules named by ${tests.length} tests, ` +
    `${Object.keys(plan.open).length} open, ${faults.length} faults\n`,
)
process.exitCode = faults.length === 0 ? 0 : 1
