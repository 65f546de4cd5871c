import { afterEach, expect, test, vi } from 'vitest'
import { browserWake } from './wake.js'

afterEach(() => vi.unstubAllGlobals())

test('[C4] tells network and page events, the page only when it is shown; and can be stopped', () => {
  const scope = new EventTarget()
  const page = Object.assign(new EventTarget(), { visibilityState: 'hidden' })
  vi.stubGlobal('addEventListener', scope.addEventListener.bind(scope))
  vi.stubGlobal('removeEventListener', scope.removeEventListener.bind(scope))
  vi.stubGlobal('document', page)
  const told: string[] = []
  const stop = browserWake(() => told.push('woken'))
  const fire = (target: EventTarget, name: string): number => {
    told.length = 0
    target.dispatchEvent(new Event(name))
    return told.length
  }
  expect(fire(scope, 'online')).toBe(1)
  expect(fire(scope, 'offline')).toBe(1)
  expect(fire(scope, 'pageshow')).toBe(1)
  expect(fire(page, 'resume')).toBe(1)
  expect(fire(page, 'visibilitychange')).toBe(0)
  page.visibilityState = 'visible'
  expect(fire(page, 'visibilitychange')).toBe(1)
  stop()
  expect(fire(scope, 'online') + fire(page, 'resume') + fire(page, 'visibilitychange')).toBe(0)
})

test('[C4] where there is no page, nothing is told and nothing breaks', () => {
  expect(() => browserWake(() => undefined)()).not.toThrow()
})
