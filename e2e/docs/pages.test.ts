import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const pages = ['.', 'docs', 'docs/guide', 'docs/decisions', ...packageFolders()].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
)

function packageFolders(): string[] {
  return readdirSync(join(root, 'packages')).map((name) => `packages/${name}`)
}

/** The anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  return heading
    .replace(/^#+ /, '')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
    .replaceAll(' ', '-')
}

const withoutCode = (page: string): string => page.replaceAll(/^```[^]*?^```/gm, '')

function anchorsOf(path: string): string[] {
  return (withoutCode(read(path)).match(/^#+ .*$/gm) ?? []).map(anchorOf)
}

describe('the pages', () => {
  test.each(pages)('every relative link of %s leads somewhere', (path) => {
    const targets = [...withoutCode(read(path)).matchAll(/\]\(([^)\s]+)\)/g)].map(
      ([, to]) => to ?? '',
    )
    const broken = targets.filter((target) => {
      if (/^[a-z]+:/.test(target)) return false
      const [file = '', anchor] = target.split('#')
      const to = file === '' ? path : join(dirname(path), file)
      if (!existsSync(join(root, to))) return true
      return anchor !== undefined && !anchorsOf(to).includes(anchor)
    })
    expect(broken).toEqual([])
  })
})

test('the diagrams are as the script draws them', () => {
  const check = spawnSync(process.execPath, [join(root, 'scripts/diagrams.mjs'), '--check'])
  expect(check.stderr.toString()).toBe('')
  expect(check.status).toBe(0)
})

describe('the two READMEs', () => {
  const english = read('README.md')
  const chinese = read('README.zh-CN.md')
  const withoutComments = (code: string): string => code.replaceAll(/ \/\/ .*$/gm, '')
  const blocks = (page: string): string[] =>
    (page.match(/^```ts\n[^]*?^```/gm) ?? []).map(withoutComments)
  const shape = (page: string): string[] => page.match(/^(?:## |\| |<!-- .*|!\[|```\w*)/gm) ?? []

  test('have the same quick start but for its comments', () => {
    expect(blocks(english)).toHaveLength(2)
    expect(blocks(chinese)).toEqual(blocks(english))
  })

  test('have the same headings, table rows, pictures and blocks in the same order', () => {
    expect(shape(chinese)).toEqual(shape(english))
  })

  test('show a quick start of at most 15 lines a side', () => {
    for (const block of blocks(english))
      expect(block.split('\n').length - 2).toBeLessThanOrEqual(15)
  })
})
