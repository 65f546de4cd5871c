// @ts-check
// The last line of a test run: `N passed, N failed`. Under `npm test`, which adds checks of its
// own, the numbers go to the file that REALTIME_TEST_COUNTS names instead.
import { writeFileSync } from 'node:fs'

/** @typedef {import('vitest/node').Reporter} Reporter */

/** @implements {Reporter} */
export default class FinalLine {
  /**
   * @param {readonly import('vitest/node').TestModule[]} modules
   * @param {readonly import('vitest/node').SerializedError[]} errors
   */
  onTestRunEnd(modules, errors) {
    const states = modules.flatMap((module) =>
      [...module.children.allTests()].map((test) => test.result().state),
    )
    // A file that did not load has no tests, and an error outside of any test fails none.
    const unloaded = modules.filter((m) => m.state() === 'failed' && m.errors().length > 0)
    const passed = states.filter((state) => state === 'passed').length
    const failed =
      states.filter((state) => state === 'failed').length + unloaded.length + errors.length
    const file = process.env['REALTIME_TEST_COUNTS']
    if (file !== undefined) {
      writeFileSync(file, JSON.stringify({ passed, failed }))
    } else {
      process.once('exit', () => process.stdout.write(`${passed} passed, ${failed} failed\n`))
    }
  }
}
