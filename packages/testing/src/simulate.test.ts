import { expect, test } from 'vitest'
import { violations } from './checks.js'
import { simulate, type World } from './simulate.js'

async function ran(seed: number): Promise<World> {
  const world = simulate({ seed })
  expect(await world.run({ operations: 60 })).toEqual([])
  return world
}

const TOPIC = 'public:a'

test('[P1] the same seed does the same again', async () => {
  const [one, again, other] = [await ran(11), await ran(11), await ran(12)]
  expect(again.ledger.of(TOPIC)).toEqual(one.ledger.of(TOPIC))
  expect(other.ledger.of(TOPIC)).not.toEqual(one.ledger.of(TOPIC))
})

test('[P2][P3] what a listener was told twice, not at all, or in another order is found', async () => {
  const world = await ran(11)
  const [client] = world.clients
  const told = client?.listening[0]?.told ?? []
  const found = (): string[] => violations(world.clients, world.ledger)
  expect(found()).toEqual([])
  const at = told.length - 2
  const [message] = told.splice(at, 1)
  if (message === undefined || 'gap' in message) throw new Error('the run ends with messages')
  expect(found()).toContainEqual(expect.stringMatching(/^\[P3\] public:a: .* follows/))
  told.splice(at, 0, message, message)
  expect(found()).toContainEqual(expect.stringMatching(/^\[P2\] .* twice/))
})

test('[P5][P6] a publish that is not settled, or not where it was acknowledged, is found', async () => {
  const world = await ran(11)
  const publish = world.clients[0]?.publishing.find(({ result }) => typeof result === 'object')
  if (publish === undefined) throw new Error('the run has publishes')
  publish.finals = 0
  publish.result = { epoch: 'none', seq: 1 }
  const found = violations(world.clients, world.ledger)
  expect(found).toContainEqual(`[P5] ${publish.id} was settled 0 times`)
  expect(found).toContainEqual(expect.stringMatching(/^\[P6\] .* was acknowledged as none 1/))
})
