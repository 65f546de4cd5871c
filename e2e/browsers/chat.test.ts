import { describe } from 'vitest'
import { lineLostCases } from './cases/line-lost.js'
import { readingCases } from './cases/reading.js'
import { wakeCases } from './cases/wake.js'
import { writingCases } from './cases/writing.js'
import { setStage } from './stage.js'

const stage = setStage()

// Side by side: nearly all of a lost line is waiting, and the rest is done meanwhile.
describe.concurrent('the chat', () => {
  lineLostCases(stage)
  wakeCases(stage)
  readingCases(stage)
  writingCases(stage)
})
