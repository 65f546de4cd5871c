import { describe, expect, test } from 'vitest'
import { Listeners } from './listeners.js'

interface Events {
  message: string
  status: { up: boolean }
}

function create() {
  const errors: unknown[] = []
  const heard: string[] = []
  const listeners = new Listeners<Events>((error, event) => errors.push([event, error]))
  return {
    listeners,
    errors,
    heard,
    hear: (name: string) => (text: string) => void heard.push(`${name} ${text}`),
  }
}

describe('listening', () => {
  test('[P7] each listener hears each event of its name, in the order of listening', () => {
    const { listeners, heard, hear } = create()
    listeners.on('message', hear('a'))
    listeners.on('message', hear('b'))
    listeners.on('status', () => heard.push('never'))
    listeners.emit('message', '1')
    listeners.emit('message', '2')
    expect(heard).toEqual(['a 1', 'b 1', 'a 2', 'b 2'])
  })

  test('[P7] stopping twice is fine, and stops nobody else', () => {
    const { listeners, heard, hear } = create()
    const stop = listeners.on('message', hear('a'))
    stop()
    listeners.on('message', hear('b'))
    stop()
    listeners.emit('message', '1')
    expect(heard).toEqual(['b 1'])
  })

  test('[P7] the same function added twice is two listeners', () => {
    const { listeners, heard, hear } = create()
    const same = hear('a')
    const stop = listeners.on('message', same)
    listeners.on('message', same)
    stop()
    listeners.emit('message', '1')
    expect(heard).toEqual(['a 1'])
  })

  test('[P7] who is stopped by an earlier listener does not hear the event any more', () => {
    const { listeners, heard, hear } = create()
    listeners.on('message', () => stop())
    const stop = listeners.on('message', hear('stopped'))
    listeners.on('message', hear('c'))
    listeners.emit('message', '1')
    expect(heard).toEqual(['c 1'])
  })

  test('[P7] who comes during an event hears the next one only', () => {
    const { listeners, heard, hear } = create()
    const stop = listeners.on('message', () => {
      stop()
      listeners.on('message', hear('late'))
    })
    listeners.on('message', hear('b'))
    listeners.emit('message', '1')
    listeners.emit('message', '2')
    expect(heard).toEqual(['b 1', 'b 2', 'late 2'])
  })

  test('[P7] count and clear', () => {
    const { listeners, heard, hear } = create()
    listeners.on('message', hear('a'))
    const stop = listeners.on('status', () => undefined)
    expect([listeners.count(), listeners.count('message'), listeners.count('status')]).toEqual([
      2, 1, 1,
    ])
    stop()
    expect(listeners.count()).toBe(1)
    listeners.clear()
    listeners.emit('message', '1')
    expect([listeners.count(), heard]).toEqual([0, []])
  })
})

describe('listeners that fail', () => {
  test('[P7] one that throws is reported and stops nobody else', () => {
    const { listeners, errors, heard, hear } = create()
    const fault = new Error('mine')
    listeners.on('message', hear('a'))
    listeners.on('message', () => {
      throw fault
    })
    listeners.on('message', hear('c'))
    listeners.emit('message', '1')
    expect(heard).toEqual(['a 1', 'c 1'])
    expect(errors).toEqual([['message', fault]])
  })

  test('[P7] one that rejects later is reported, too', async () => {
    const { listeners, errors } = create()
    const fault = new Error('later')
    const failing = Promise.reject(fault)
    listeners.on('status', () => failing as unknown as void)
    listeners.emit('status', { up: true })
    await failing.catch(() => undefined)
    expect(errors).toEqual([['status', fault]])
  })

  test('[P7] even a report that throws stops nobody else', () => {
    const heard: string[] = []
    const listeners = new Listeners<Events>(() => {
      throw new Error('the logger is broken, too')
    })
    listeners.on('message', () => {
      throw new Error('first')
    })
    listeners.on('message', (text) => heard.push(text))
    expect(() => listeners.emit('message', '1')).not.toThrow()
    expect(heard).toEqual(['1'])
  })
})
