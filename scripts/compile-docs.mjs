// @ts-check
// Type-checks every `ts` and `tsx` block of the READMEs and of docs/, against the built packages:
// an example that does not compile teaches a mistake. A block opts out with
// ```ts ignore-reason="…" and says why.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { codeBlocks } from './doc-blocks.mjs'
import { ROOT, runTool } from './run.mjs'

/** Pages whose blocks are not programs. */
const EXCLUDED = [
  { path: 'docs/contract.md', reason: 'the specification: sketches of shapes, not modules' },
  { path: 'docs/decisions/', reason: 'records of their day: their code is not kept up to date' },
]

/** @param {string} folder @param {boolean} deep @returns {string[]} Markdown pages, sorted */
function pages(folder, deep) {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: deep })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.includes('node_modules/') && !path.endsWith('CHANGELOG.md'))
    .filter((path) => !EXCLUDED.some((excluded) => path.startsWith(excluded.path)))
    .sort()
}

/** @typedef {import('./doc-blocks.mjs').CodeBlock & { file: string }} Program */

/** @param {string} folder @returns {{ programs: Program[], ignored: number }} */
function writePrograms(folder) {
  /** @type {Program[]} */
  const programs = []
  let ignored = 0
  const paths = [
    ...pages('.', false),
    ...pages('docs', true),
    ...pages('packages', true),
    ...pages('examples', true),
  ]
  for (const path of paths) {
    for (const block of codeBlocks(join(ROOT, path))) {
      if (!['ts', 'tsx', 'typescript'].includes(block.language)) continue
      if (/ignore-reason="[^"]+"/.test(block.info)) {
        ignored += 1
        continue
      }
      const extension = block.language === 'tsx' ? 'tsx' : 'ts'
      const file = `${path.replaceAll('/', '--')}--${block.line}.${extension}`
      writeFileSync(join(folder, file), `${block.code}\nexport {}\n`)
      programs.push({ ...block, path, file })
    }
  }
  return { programs, ignored }
}

/** Says where the page has what the compiler reports of the program. @param {string} report @param {Program[]} programs */
function withPlaces(report, programs) {
  return report.replaceAll(/^(.*?)\((\d+),(\d+)\): /gm, (whole, file, line, column) => {
    const program = programs.find((candidate) => String(file).endsWith(candidate.file))
    if (program === undefined) return whole
    return `${program.path}:${program.line + Number(line) - 1}:${String(column)}: `
  })
}

mkdirSync(join(ROOT, '.cache'), { recursive: true })
const folder = mkdtempSync(join(ROOT, '.cache/docs-'))
try {
  const { programs, ignored } = writePrograms(folder)
  const compilerOptions = {
    composite: false,
    incremental: false,
    declaration: false,
    declarationMap: false,
    isolatedDeclarations: false,
    noEmit: true,
    noUnusedLocals: false,
    noUnusedParameters: false,
    // A rule of our house, not of the readers': they write `process.env.SECRET`.
    noPropertyAccessFromIndexSignature: false,
    jsx: 'react-jsx',
    lib: ['ES2023', 'ESNext.Disposable', 'DOM', 'DOM.Iterable'],
    types: ['node'],
    typeRoots: ['../../node_modules/@types'],
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.base.json', compilerOptions, include: ['*'] }),
  )
  if (programs.length === 0) {
    process.stdout.write('compiled docs: no page has a ts block: README.md is missing?\n')
    process.exitCode = 1
  } else {
    const { code, output } = await runTool('tsc', ['-p', folder, '--pretty', 'false'], {
      output: 'capture',
    })
    process.stdout.write(withPlaces(output, programs))
    process.stdout.write(
      `compiled docs: ${programs.length} blocks ${code === 0 ? 'type-check' : 'checked'}, ${ignored} opted out with a reason\n`,
    )
    process.exitCode = code === 0 ? 0 : 1
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
