import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { Bundle } from './bundle.js'
import { Outlet } from './outlet.js'
import { parcelOf } from './packets.js'
import type { Parcel } from './parcel.js'
import type { Handover, Peer } from './peer.js'
import { Turn } from './turn.js'

const KIB = 1_024
/** What may be handed to the wire ahead of the network. */
const AHEAD = 64 * KIB

/** A wire whose network takes what it is told to take. */
class Wire implements Peer {
  readonly connectionId = 'c1'
  readonly address = ''
  readonly transport = 'websocket'
  readonly lastPacketAt = 0
  readonly written: string[] = []
  readonly handovers: Handover[] = []

  write(handover: Handover): void {
    const packets = [...handover.packets, ...(handover.shared?.parcels ?? [])]
    this.written.push(...packets.map(({ text }) => text))
    this.handovers.push(handover)
  }

  end(): void {
    this.written.push('end')
  }

  /** The network takes the oldest handover, or all of them. */
  take(count: number = this.handovers.length): void {
    for (const handover of this.handovers.splice(0, count)) handover.taker.taken(handover.bytes)
  }
}

/** An outlet, its wire, and the turns of the event loop in the test's hand. */
function rig(hardMaxBytes: number = 16 * 1_024 * KIB) {
  const turns: (() => void)[] = []
  const failures: unknown[] = []
  const told: string[] = []
  const end = new Turn({
    nextTurn: (run) => {
      turns.push(run)
      return () => undefined
    },
    now: () => 0,
    failed: (error) => failures.push(error),
  })
  const wire = new Wire()
  const owner = {
    overflowed: () => void told.push('overflowed'),
    pageLeft: () => void told.push('page left'),
  }
  const outlet = new Outlet(wire, { turn: end, hardMaxBytes, owner })
  return {
    end,
    wire,
    outlet,
    told,
    failures,
    turn: () => {
      for (const run of turns.splice(0)) run()
    },
    scheduled: () => turns.length,
  }
}

/** A parcel of `bytes` bytes that begins with a name. */
function big(name: string, bytes: number, more: Partial<Parcel> = {}): Parcel {
  return { ...parcelOf(name.padEnd(bytes, '.')), ...more }
}

function latest(name: string, topic: string, bytes: number = KIB): Parcel {
  const withSkipped = (skipped: number): string => `${name} skipped ${skipped}`
  return big(name, bytes, { topic, conflate: true, withSkipped })
}

function namesOf(wire: Wire): string[] {
  return wire.written.map((text) => text.replace(/\.+$/u, ''))
}

describe('Outlet', () => {
  test('[W6] everything leaves in order, together, once a turn', () => {
    const { outlet, wire, turn, scheduled } = rig()
    for (const name of ['ack', 'message', 'event']) outlet.push(parcelOf(name))
    expect([wire.written, scheduled()]).toEqual([[], 1])
    turn()
    expect(wire.handovers).toHaveLength(1)
    expect(wire.written).toEqual(['ack', 'message', 'event'])
  })

  test('[P10][L8] at most 64 KiB, or one larger parcel, are ahead of the network', () => {
    const { outlet, wire, turn } = rig()
    outlet.push(big('first', 200 * KIB))
    for (let n = 1; n <= 8; n += 1) outlet.push(big(`m${n}`, 16 * KIB))
    turn()
    expect(namesOf(wire)).toEqual(['first'])
    turn()
    expect(namesOf(wire)).toHaveLength(1)
    wire.take()
    turn()
    expect(namesOf(wire)).toEqual(['first', 'm1', 'm2', 'm3', 'm4'])
    expect(outlet.waitingBytes).toBe(8 * 16 * KIB)
    wire.take()
    turn()
    wire.take()
    expect([outlet.waitingBytes, outlet.takenBytes]).toEqual([0, 328 * KIB])
  })

  test('[L8] past the hard limit its owner is told', () => {
    const { outlet, told } = rig(100 * KIB)
    outlet.push(big('a', 60 * KIB))
    expect(told).toEqual([])
    outlet.push(big('b', 60 * KIB))
    expect(told).toEqual(['overflowed'])
  })

  test('[L8] while more than 64 KiB wait, only the newest of a topic is kept, and says how many it skipped', () => {
    const { outlet, wire, turn } = rig()
    outlet.push(big('full', AHEAD + 1))
    turn()
    for (let n = 1; n <= 5; n += 1) outlet.push(latest(`m${n}`, 'metrics'))
    outlet.push(latest('x1', 'other'))
    outlet.push(parcelOf('ack'))
    outlet.push(latest('m6', 'metrics'))
    expect(outlet.waitingBytes).toBe(AHEAD + 1 + 2 * KIB + 3)
    wire.take()
    turn()
    expect(namesOf(wire)).toEqual(['full', 'x1', 'ack', 'm6 skipped 5'])
  })

  test('[L8] a reader that keeps up gets all of them', () => {
    const { outlet, wire, turn } = rig()
    for (let n = 1; n <= 5; n += 1) {
      outlet.push(latest(`m${n}`, 'metrics'))
      turn()
      wire.take()
    }
    expect(namesOf(wire)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5'])
  })

  test('[L8] what it skipped adds up over several replacements', () => {
    const { outlet, wire, turn } = rig()
    outlet.push(latest('m1', 'metrics'))
    outlet.push(latest('m2', 'metrics'))
    outlet.push(big('full', AHEAD + 1))
    outlet.push(latest('m3', 'metrics'))
    outlet.push(latest('m4', 'metrics'))
    turn()
    wire.take()
    turn()
    expect(namesOf(wire)).toEqual(['full', 'm4 skipped 3'])
  })

  test('[P11] an ephemeral parcel does not say what it skipped', () => {
    const { outlet, wire, turn } = rig()
    outlet.push(big('full', AHEAD + 1))
    turn()
    outlet.push(big('e1', 10, { topic: 'typing', conflate: true }))
    outlet.push(big('e2', 10, { topic: 'typing', conflate: true }))
    wire.take()
    turn()
    expect(namesOf(wire)).toEqual(['full', 'e2'])
  })

  test('[L8] slowness is no fault while only what may be replaced waits', () => {
    const { outlet, wire, turn } = rig()
    outlet.push(latest('m1', 'metrics', 100 * KIB))
    expect(outlet.onlyReplaceable).toBe(true)
    outlet.push(parcelOf('ack'))
    expect(outlet.onlyReplaceable).toBe(false)
    turn()
    // Far more than it should is ahead of the network now, and cannot be replaced any more.
    expect(outlet.onlyReplaceable).toBe(false)
    wire.take()
    turn()
    wire.take()
    expect(outlet.onlyReplaceable).toBe(true)
  })

  test('[L16] it counts pages until they leave, and says so', () => {
    const { outlet, wire, turn, told } = rig()
    outlet.push(big('full', AHEAD + 1))
    turn()
    outlet.push(parcelOf('page', true))
    outlet.push(parcelOf('page', true))
    expect(outlet.pages).toBe(2)
    wire.take()
    turn()
    expect([outlet.pages, told]).toEqual([0, ['page left']])
  })

  test('[W25] the end hands over what waits and the last word, then nothing more', () => {
    const { outlet, wire, turn } = rig()
    outlet.push(big('m1', 200 * KIB))
    outlet.push(big('m2', 200 * KIB))
    outlet.end(parcelOf('closing'), true)
    outlet.push(parcelOf('late'))
    outlet.end(parcelOf('twice'), true)
    turn()
    expect(namesOf(wire)).toEqual(['m1', 'm2', 'closing'])
    wire.take()
    expect([outlet.waitingBytes, outlet.pages]).toEqual([0, 0])
  })

  test('[W25][L8] the end of a slow reader hands over the last word alone', () => {
    const { outlet, wire } = rig()
    outlet.push(big('m1', 200 * KIB))
    outlet.push(parcelOf('page', true))
    outlet.end(parcelOf('closing'), false)
    expect([namesOf(wire), outlet.pages]).toEqual([['closing'], 0])
  })

  test('[W25][L8] it gets none of what this turn would have brought, either; anybody else does', () => {
    for (const flushWaiting of [false, true]) {
      const { outlet, wire } = rig()
      outlet.add(Bundle.of([parcelOf('m1')]))
      outlet.end(parcelOf('closing'), flushWaiting)
      expect(namesOf(wire)).toEqual(flushWaiting ? ['m1', 'closing'] : ['closing'])
      expect(outlet.waitingBytes).toBe(wire.handovers.reduce((sum, { bytes }) => sum + bytes, 0))
    }
  })

  test('[P7] a wire that throws costs the others nothing', () => {
    const { end, outlet, turn, failures, wire } = rig()
    const broken = new Wire()
    broken.write = () => {
      throw new Error('broken')
    }
    const owner = { overflowed: () => undefined, pageLeft: () => undefined }
    const other = new Outlet(broken, { turn: end, hardMaxBytes: AHEAD, owner })
    other.push(parcelOf('a'))
    outlet.push(parcelOf('b'))
    turn()
    expect([failures.length, wire.written]).toEqual([1, ['b']])
  })

  test.each([1, 2, 3, 4, 5])('[L8] its accounts agree whatever happens (seed %i)', (seed) => {
    const random = seededRandom(seed)
    const { outlet, wire, turn, scheduled } = rig()
    const below = (most: number): number => Math.floor(random() * most)
    let must = 0
    let conflated = 0
    for (let step = 0; step < 2_000; step += 1) {
      const bytes = 1 + below(random() < 0.1 ? 100 * KIB : 2 * KIB)
      if (random() < 0.3) outlet.push(big(`must${(must += 1)} `, bytes, { page: random() < 0.2 }))
      else if (random() < 0.5) outlet.push(latest(`t${(conflated += 1)}`, `t${below(3)}`, bytes))
      if (random() < 0.3) turn()
      if (random() < 0.2) wire.take(below(3))
      expect(outlet.waitingBytes).toBeGreaterThanOrEqual(0)
    }
    while (scheduled() > 0 || wire.handovers.length > 0) {
      turn()
      wire.take()
    }
    expect([outlet.waitingBytes, outlet.pages, outlet.onlyReplaceable]).toEqual([0, 0, true])
    const numbers = wire.written.flatMap((text) => /^must(\d+) /u.exec(text)?.[1] ?? [])
    expect(numbers.map(Number)).toEqual(Array.from({ length: must }, (_, index) => index + 1))
    const kept = wire.written.filter((text) => text.startsWith('t'))
    const skipped = kept.map((text) => Number(/skipped (\d+)/u.exec(text)?.[1] ?? 0))
    expect(skipped.reduce((sum, count) => sum + count, kept.length)).toBe(conflated)
  })
})
