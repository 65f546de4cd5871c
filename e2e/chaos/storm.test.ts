import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { faultsOfAcknowledgements, faultsOfReading } from './judge.js'
import { HICCUP, storm, stormyWorld, TOPICS, type Storm } from './storm.js'

// More, or one again: STORM_SEEDS=100 STORM_FIRST=7 npx vitest run e2e/chaos
const FIRST = Number(process.env['STORM_FIRST'] ?? 1)
const seeds = Array.from(
  { length: Number(process.env['STORM_SEEDS'] ?? 2) },
  (_, index) => FIRST + index,
)

async function weather(seed: number, crashes: number): Promise<Storm> {
  await using world = await stormyWorld(seededRandom(seed))
  const result = await storm(world, { seed, crashes })
  const failures = world.takeFailures().filter((text) => !text.includes(HICCUP))
  expect(failures).toEqual([])
  return result
}

describe.each(seeds)('seed %i', (seed) => {
  test('[P1][P2][P3][P4][P5] lines are cut, stalled, slow and forgotten: everybody hears everything once, in order', async () => {
    const { readers, outcomes, said } = await weather(seed, 0)
    expect(readers.flatMap(faultsOfReading)).toEqual([])
    expect(faultsOfAcknowledgements(outcomes, readers)).toEqual([])
    expect(outcomes.filter(({ result }) => !('seq' in result))).toEqual([])
    // What is retained whole is heard whole: all that was said, and the last word.
    const whole = TOPICS.filter((topic) => topic !== 'open:short')
    for (const topic of whole) {
      const counts = [...said].filter(([key]) => key.startsWith(`${topic} `))
      const total = counts.reduce((sum, [, count]) => sum + count, 1)
      const heard = readers.filter(({ subscription }) => subscription.topic === topic)
      expect(heard.map(({ messages }) => messages.length)).toEqual(heard.map(() => total))
      expect(heard.flatMap(({ gaps }) => gaps)).toEqual([])
    }
  })

  test('[P1][P2][P3][P4][P5] the same, and the server is killed twice: nothing twice, nothing out of order, what is not known is said', async () => {
    const { readers, outcomes } = await weather(seed, 2)
    expect(readers.flatMap(faultsOfReading)).toEqual([])
    expect(faultsOfAcknowledgements(outcomes, readers)).toEqual([])
    const changed = ({ gaps }: (typeof readers)[number]) =>
      gaps.filter(({ reason }) => reason === 'epoch_changed').length
    expect(Math.min(...readers.map(changed))).toBeGreaterThan(0)
    for (const { result } of outcomes.filter((outcome) => !('seq' in outcome.result))) {
      expect(result).toMatchObject({ code: 'timeout', details: { outcome: 'unknown' } })
    }
  })
})
