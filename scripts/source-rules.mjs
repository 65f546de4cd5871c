// @ts-check
// Rules over the sources that the linter has no rule for: no `export *`, no top-level `let` or
// `var` (module state is hidden state; style D10 names the one exception), no file names that say
// nothing. `node scripts/source-rules.mjs` checks all sources.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { ROOT } from './run.mjs'

/** The default client behind the `Realtime` facade: the only module state there is. */
const MAY_HAVE_STATE = new Set(['packages/client/src/realtime.ts'])
const EMPTY_NAMES = /^(utils?|helpers?|types|common|constants|misc)\.tsx?$/

/** @param {string} root @returns {string[]} all TypeScript sources of packages, examples, e2e and bench */
export function sourceFiles(root) {
  return ['packages', 'examples', 'e2e', 'bench']
    .map((folder) => join(root, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder, { withFileTypes: true, recursive: true }))
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/[\\/](node_modules|dist)[\\/]/.test(path))
    .sort()
}

/**
 * @param {string} root
 * @returns {string[]} one line for each fault, `path:line: what`
 */
export function sourceFaults(root) {
  const faults = []
  for (const path of sourceFiles(root)) {
    const name = relative(root, path).split(sep).join('/')
    const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2022)
    const at = (/** @type {ts.Node} */ node) =>
      `${name}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1}`
    if (EMPTY_NAMES.test(basename(path))) {
      faults.push(`${name}:1: the file's name says nothing: name what it holds`)
    }
    for (const statement of file.statements) {
      if (
        ts.isExportDeclaration(statement) &&
        (statement.exportClause === undefined || ts.isNamespaceExport(statement.exportClause))
      ) {
        faults.push(`${at(statement)}: \`export *\` hides what is public: list the names`)
      }
      if (
        ts.isVariableStatement(statement) &&
        (statement.declarationList.flags & ts.NodeFlags.Const) === 0 &&
        !MAY_HAVE_STATE.has(name) &&
        !/\.test\.tsx?$/.test(name)
      ) {
        faults.push(`${at(statement)}: top-level \`let\` is hidden state: pass it or own it`)
      }
    }
  }
  return faults
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const faults = sourceFaults(ROOT)
  for (const fault of faults) process.stdout.write(`${fault}\n`)
  process.exitCode = faults.length === 0 ? 0 : 1
}
