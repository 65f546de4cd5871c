import { readFileSync } from 'node:fs'
import { ERROR_CODES, isErrorCode, type ErrorSpec } from '@bmt-central/realtime-protocol'
import { describe, expect, test } from 'vitest'

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')

/** `## ` headings of the page, in order, each with the text up to the next heading. */
const sections = new Map(
  page
    .split(/^(?=#{1,2} )/m)
    .filter((part) => part.startsWith('## '))
    .map((part): [string, string] => {
      const [heading = '', ...lines] = part.split('\n')
      return [heading, lines.join('\n')]
    }),
)

const SCOPES: Record<ErrorSpec['scope'], string> = {
  connection: 'ends the connection',
  request: 'one request',
  client: 'client',
}

describe('docs/errors.md and the table of codes', () => {
  test('every code has one heading', () => {
    const headings = page.match(/^## .*$/gm)
    expect(headings).toEqual(Object.keys(ERROR_CODES).map((code) => `## \`${code}\``))
  })

  test('every heading names a code', () => {
    const named = [...sections.keys()].map((heading) => /^## `(.+)`$/.exec(heading)?.[1])
    expect(named.filter((code) => !isErrorCode(code))).toEqual([])
  })

  test.each(Object.entries<ErrorSpec>(ERROR_CODES))('%s is described as it is', (code, spec) => {
    const text = sections.get(`## \`${code}\``) ?? ''
    const retry = spec.retryable ? 'retryable' : 'final'
    expect(text).toContain(`\n_${spec.kind} · ${SCOPES[spec.scope]} · ${retry}_\n`)
    expect(text).toMatch(/^\*\*When\.\*\* \S/m)
    expect(text).toMatch(/^\*\*Do\.\*\* \S/m)
  })
})
