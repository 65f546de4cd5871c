import { expect, test } from 'vitest'
import { hostAllowed } from '../transport/origin.js'
import { devAuth, devHostsOf } from './dev.js'

test('[W9] under devAuth `Host` may be a local name or one that was given, and no other', () => {
  const hosts = devHostsOf(devAuth({ hosts: ['Devbox.local'] }))
  expect(hosts).toEqual(['Devbox.local'])
  for (const host of ['devbox.local:3000', 'localhost', '127.0.0.1:1', '[::1]:3000']) {
    expect(hostAllowed(host, hosts ?? []), host).toBe(true)
  }
  for (const host of [undefined, 'evil.example', 'devbox.local.evil.example', 'a b']) {
    expect(hostAllowed(host, hosts ?? []), String(host)).toBe(false)
  }
  expect(hostAllowed('devbox.local', devHostsOf(devAuth()) ?? [])).toBe(false)
})

test('[W9] other authentication goes without a check of `Host`', () => {
  expect(devHostsOf(() => ({ userId: 'ada', role: 'user' }))).toBeNull()
})
