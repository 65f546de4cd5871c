import { expect, test } from 'vitest'
import { hostCheck, isLoopbackAddress, loopbackAddressOf, urlOf } from './address.js'

test.each([
  ['127.0.0.1', true],
  ['127.8.9.10', true],
  ['::1', true],
  ['0.0.0.0', false],
  ['::', false],
  ['192.168.1.4', false],
  ['localhost', false],
])('%s is an address of this machine alone: %s', (address, expected) => {
  expect(isLoopbackAddress(address)).toBe(expected)
})

test('a name is resolved, and the address that was checked is the one to listen on', async () => {
  expect(isLoopbackAddress(await loopbackAddressOf('localhost'))).toBe(true)
})

test.each(['0.0.0.0', '::', '10.0.0.1', 'no-such-host.invalid'])(
  'development tokens refuse to listen on %s',
  async (host) => {
    await expect(loopbackAddressOf(host)).rejects.toMatchObject({ exitCode: 1 })
  },
)

test('[W9] a development server answers to local names and to its own only', () => {
  const allowed = hostCheck('devbox')
  for (const host of ['localhost:3000', '127.0.0.1', '[::1]:80', 'devbox:3000', 'LOCALHOST']) {
    expect(allowed(host), host).toBe(true)
  }
  for (const host of [undefined, '', 'evil.example', 'localhost.evil.example', 'a@b c', '10.0.0.1'])
    expect(allowed(host), String(host)).toBe(false)
})

test('an IPv6 address stands in brackets', () => {
  expect(urlOf('::1', 80)).toBe('http://[::1]:80')
  expect(urlOf('localhost', 3000)).toBe('http://localhost:3000')
})
