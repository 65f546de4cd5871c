import type { Browser } from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'
import { launchChromium } from './chromium.js'
import { startPlayground, type Playground } from './playground.js'

/** What the tests of one file share: a playground that runs, and a browser. */
export interface Stage {
  readonly playground: Playground
  readonly browser: Browser
}

/** Sets the stage ahead of a file's tests and clears it afterwards. */
export function setStage(): Stage {
  const set: Partial<{ playground: Playground; browser: Browser }> = {}
  beforeAll(async () => {
    await Promise.all([
      startPlayground().then((playground) => Object.assign(set, { playground })),
      launchChromium().then((browser) => Object.assign(set, { browser })),
    ])
  })
  afterAll(async () => {
    await set.browser?.close()
    await set.playground?.stop()
  })
  const present = <Value>(value: Value | undefined): Value => {
    if (value === undefined) throw new Error('the stage is set once the tests run')
    return value
  }
  return {
    get playground() {
      return present(set.playground)
    },
    get browser() {
      return present(set.browser)
    },
  }
}
