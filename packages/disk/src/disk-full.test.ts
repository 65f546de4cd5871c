import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, type Topic } from '@bmt-central/realtime-protocol'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DiskBroker } from './disk-broker.js'
import { KEEP_ALL, LIMITS } from './testing/room.js'

const TOPIC = 'full' as Topic
const TEXT = JSON.stringify('.'.repeat(16_000))

const folder = mkdtempSync(join(tmpdir(), 'disk-full-'))
const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder])
const maySetUp = mount.status === 0

beforeAll(() => {
  // Room that can be given back.
  if (maySetUp) writeFileSync(join(folder, 'ballast'), Buffer.alloc(2 ** 20))
})

afterAll(() => {
  if (maySetUp) spawnSync('umount', [folder])
  rmdirSync(folder)
})

test.skipIf(!maySetUp)(
  '[P6] a full disk refuses publishes, loses nothing that was acknowledged, and goes on when there is room',
  async () => {
    const runtime = virtualRuntime({ seed: 1 })
    const states: string[] = []
    const heard: string[] = []
    const sink = {
      publication: ({ id }: { id: string }) => void heard.push(id),
      lost: () => undefined,
      state: (state: string) => void states.push(state),
    }
    const path = join(folder, 'data')
    const broker = new DiskBroker({ path })
    await broker.start(sink, { limits: LIMITS, runtime, logger: silentLogger })
    const publish = async (id: string): Promise<void> => {
      const draft = { id, from: 'ada', payloadJson: TEXT, payloadBytes: TEXT.length, hash: id }
      await broker.publish(TOPIC, draft, KEEP_ALL)
    }

    const acknowledged: string[] = []
    const fill = async (): Promise<unknown> => {
      for (let number = 1; number <= 1_000; number += 1) {
        const id = `m-${acknowledged.length + 1}-${states.length}`
        try {
          await publish(id)
          acknowledged.push(id)
        } catch (error) {
          return error
        }
      }
      return null
    }
    expect(await fill()).toMatchObject({ code: 'broker_unavailable', retryable: true })
    expect(acknowledged.length).toBeGreaterThan(10)
    expect(states).toEqual(['up', 'down'])
    expect(heard).toEqual(acknowledged)

    const idsOf = async (of: DiskBroker): Promise<string[]> => {
      const query = { since: { epoch: '', seq: 0 }, limit: 10_000, maxBytes: 2 ** 28 }
      const { publications, head } = await of.read(TOPIC, query)
      expect(publications.map(({ seq }) => seq)).toEqual(publications.map((_, at) => at + 1))
      expect(head).toBe(publications.length)
      return publications.map(({ id }) => id)
    }
    expect(await idsOf(broker)).toEqual(acknowledged)

    rmSync(join(folder, 'ballast'))
    await expect
      .poll(async () => {
        await runtime.advance(1_000)
        return states
      })
      .toEqual(['up', 'down', 'up'])
    await publish('again')
    acknowledged.push('again')
    expect(await idsOf(broker)).toEqual(acknowledged)
    expect(heard).toEqual(acknowledged)
    await broker.close()

    const next = new DiskBroker({ path })
    await next.start(sink, { limits: LIMITS, runtime, logger: silentLogger })
    expect(await idsOf(next)).toEqual(acknowledged)
    await next.close()
  },
)

test.skipIf(!maySetUp)(
  '[P6] closed after a commit that failed: the directory is free, and holds what was acknowledged',
  async () => {
    const path = join(folder, 'closed')
    rmSync(join(folder, 'data'), { recursive: true, force: true })
    writeFileSync(join(folder, 'ballast'), Buffer.alloc(2 ** 20))
    const sink = { publication: () => undefined, lost: () => undefined, state: () => undefined }
    const context = { limits: LIMITS, runtime: virtualRuntime({ seed: 2 }), logger: silentLogger }
    const broker = new DiskBroker({ path })
    await broker.start(sink, context)
    let count = 0
    const fill = async (): Promise<void> => {
      for (; count < 1_000; count += 1) {
        const id = `m-${count}`
        const draft = { id, from: 'ada', payloadJson: TEXT, payloadBytes: TEXT.length, hash: id }
        await broker.publish(TOPIC, draft, KEEP_ALL)
      }
    }
    await expect(fill()).rejects.toMatchObject({ code: 'broker_unavailable' })
    await broker.close()

    rmSync(join(folder, 'ballast'))
    const next = new DiskBroker({ path })
    await next.start(sink, context)
    expect(next.subscribers(TOPIC, 0).position.seq).toBe(count)
    await next.close()
  },
)
