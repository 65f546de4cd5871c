import { RealtimeError } from '@bmt-central/realtime-protocol'
import { expect, test } from 'vitest'
import { jsonOutput } from './output.js'

function recorded(): { lines: string[]; write(line: string): void } {
  const lines: string[] = []
  return { lines, write: (line) => void lines.push(line) }
}

const parsed = (lines: readonly string[]): Record<string, unknown>[] =>
  lines.map((line) => JSON.parse(line) as Record<string, unknown>)

test('the first line says where it listens, whatever was logged before', () => {
  const sink = recorded()
  const output = jsonOutput(sink, 'info')
  output.logger.warn('rule_unreachable', { match: 'a:*' })
  expect(sink.lines).toEqual([])
  output.announce('http://127.0.0.1:3000')
  output.logger.info('connected')
  output.logger.debug('not at this level')

  expect(parsed(sink.lines)).toMatchObject([
    { level: 'info', event: 'listening', url: 'http://127.0.0.1:3000' },
    { level: 'warn', event: 'rule_unreachable', match: 'a:*' },
    { level: 'info', event: 'connected' },
  ])
})

test('the first line comes at every level', () => {
  const sink = recorded()
  const output = jsonOutput(sink, 'error')
  output.announce('http://127.0.0.1:3000')
  output.logger.warn('quiet')
  expect(parsed(sink.lines)).toMatchObject([{ event: 'listening' }])
})

test('what waited for an announcement that never came goes where the failure goes', () => {
  const [stdout, stderr] = [recorded(), recorded()]
  const output = jsonOutput(stdout, 'info')
  output.logger.warn('rule_unreachable')
  output.release(stderr)
  expect(stdout.lines).toEqual([])
  expect(parsed(stderr.lines)).toMatchObject([{ event: 'rule_unreachable' }])
})

test('an error is logged by name, code, message and place, without what it carries', () => {
  const sink = recorded()
  const output = jsonOutput(sink, 'info')
  output.announce('http://127.0.0.1:3000')
  const error = new RealtimeError('publish_failed', 'refused', {
    details: { payload: 'a private word' },
    cause: new Error('behind it'),
  })
  output.logger.error('publish', { error })
  const [, line] = parsed(sink.lines)
  expect(line).toMatchObject({
    error: { name: 'RealtimeError', code: 'publish_failed', message: 'refused' },
  })
  expect(line?.['error']).toMatchObject({ cause: { message: 'behind it' } })
  expect(sink.lines.join()).not.toContain('a private word')
})
