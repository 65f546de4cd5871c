import { RealtimeClient } from '@bmt-central/realtime'
import type { Locator } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { eventually } from '../eventually.js'
import { expectCleanPages, Person } from '../person.js'
import type { Stage } from '../stage.js'

/** What a reader sees: the newest first, earlier ones, what is new, and nothing but text. */
export function readingCases(stage: Stage): void {
  describe('reading', () => {
    const address = (): string => stage.playground.address()
    const enter = (room: string): Promise<Person> =>
      Person.enter(stage.browser, { address: address(), room })

    test('[W10][W13] the newest come on entry, earlier ones as one scrolls up, each once', async () => {
      await fill(address(), 'long', 130)
      await using ada = await enter('long')
      await eventually(async () => expect(await seqsOf(ada)).toEqual(upTo(130, 81)))
      const list = ada.page.getByTestId('messages')
      expect(await distanceToEnd(list)).toBeLessThan(2)

      for (const first of [31, 1]) {
        // The first lines change with what comes above them; what is read stays where it is.
        const [, , , read] = await seqsOf(ada)
        const anchor = ada.page.locator(`[data-testid=message][data-seq="${read}"]`)
        await list.evaluate((element) => (element.scrollTop = 120))
        const before = await anchor.boundingBox()
        await eventually(async () => expect(await seqsOf(ada)).toEqual(upTo(130, first)))
        const after = await anchor.boundingBox()
        expect(Math.abs((after?.y ?? 0) - (before?.y ?? 0))).toBeLessThan(2)
      }
      await list.evaluate((element) => (element.scrollTop = 0))
      await eventually(async () => {
        expect(await ada.page.getByTestId('top').textContent()).toBe('This is the beginning.')
      })
      expectCleanPages(ada)
    })

    test('[W13] however long a room is, at most 500 messages are in the document', async () => {
      await Promise.all(
        ['a', 'b', 'c', 'd'].map((userId) => fill(address(), 'endless', 150, userId)),
      )
      await using ada = await enter('endless')
      const list = ada.page.getByTestId('messages')
      const seen = new Set<number>()
      await eventually(async () => {
        const seqs = await seqsOf(ada)
        expect(seqs.length).toBeLessThanOrEqual(500)
        expect(seqs).toEqual(upTo(seqs.at(-1) ?? 0, seqs[0]))
        for (const seq of seqs) seen.add(seq)
        await list.evaluate((element) => (element.scrollTop = 0))
        expect(seqs[0]).toBe(1)
      })
      expect(seen.size).toBe(600)
      expect((await seqsOf(ada)).at(-1)).toBe(500)
      await ada.page.getByTestId('new-below').click()
      await eventually(async () => expect((await seqsOf(ada)).at(-1)).toBe(600))
      expect(await distanceToEnd(list)).toBeLessThan(2)
      expectCleanPages(ada)
    })

    test('a reader stays where they are, and is told of what is new below', async () => {
      await fill(address(), 'below', 40)
      await using ada = await enter('below')
      await using grace = await enter('below')
      await ada.sees(['Number 40 of below'])
      const list = ada.page.getByTestId('messages')
      const below = ada.page.getByTestId('new-below')
      expect(await below.isVisible()).toBe(false)
      await list.evaluate((element) => (element.scrollTop -= 600))
      await eventually(async () => expect(await below.textContent()).toBe('To the latest message'))
      const place = await list.evaluate((element) => element.scrollTop)
      for (const text of ['First unread', 'Second unread']) await grace.write(text)
      await eventually(async () => expect(await below.textContent()).toBe('2 new messages below'))
      expect(await list.evaluate((element) => element.scrollTop)).toBe(place)

      await ada.page.keyboard.press('Escape')
      await eventually(async () => expect(await distanceToEnd(list)).toBeLessThan(2))
      await expectUnreadLineBefore(ada, 'First unread')
      expect(await below.isVisible()).toBe(false)
      await grace.write('Third')
      await ada.sees(['Third'])
      await eventually(async () => expect(await distanceToEnd(list)).toBeLessThan(2))
      expectCleanPages(ada, grace)
    })

    test('another room counts what is new, and a line marks where one had left off', async () => {
      await using ada = await enter('left-off')
      await ada.page.getByTestId('add-room').click()
      await ada.page.getByTestId('room-name').fill('Somewhere else')
      await ada.page.getByTestId('room-name').press('Enter')
      expect(await ada.page.getByTestId('room-title').textContent()).toBe('somewhere-else')
      await using grace = await enter('somewhere-else')
      await grace.write('While here')
      await ada.sees(['While here'])
      await ada.page.locator('[data-room=left-off]').click()
      const badge = ada.page.locator('[data-room=somewhere-else]')
      for (const text of ['While away 1', 'While away 2']) await grace.write(text)
      await eventually(async () => expect(await badge.getAttribute('data-unread')).toBe('2'))
      expect(await badge.locator('.count').getAttribute('title')).toBe('2 unread messages')
      await badge.click()
      await ada.sees(['While away 2'])
      await expectUnreadLineBefore(ada, 'While away 1')
      await eventually(async () => expect(await badge.getAttribute('data-unread')).toBe('0'))
      await ada.write('Read it')
      await eventually(async () => expect(await ada.page.getByTestId('unread').count()).toBe(0))

      // Also across a reload during which others go on.
      await eventually(async () => expect(await ada.stateOf('Read it')).toBe('acknowledged'))
      await grace.sees(['Read it'])
      await eventually(async () => expect(await keptReadSeq(ada, 'somewhere-else')).toBe(4))
      await ada.page.goto('about:blank')
      await grace.write('During the reload')
      await eventually(async () =>
        expect(await grace.stateOf('During the reload')).toBe('acknowledged'),
      )
      await ada.page.goto(`${address()}/?room=somewhere-else`)
      await ada.sees(['During the reload'])
      await expectUnreadLineBefore(ada, 'During the reload')
      expectCleanPages(ada, grace)
    })

    test('text from others is text: no markup, links that tell nothing, long words that wrap', async () => {
      await using ada = await enter('text')
      await using grace = await enter('text')
      const hostile = [
        '<img src=x onerror="window.harmed = true">',
        '<script>window.harmed = true</script>',
        'javascript:window.harmed=true',
        'Look: https://example.org/a?b=c#d, and http://example.com.',
        'w'.repeat(600),
        '\u202Ereversed and <b>bold</b>',
      ]
      for (const text of hostile) await grace.write(text)
      await ada.sees(hostile)
      expect(await ada.texts()).toEqual(hostile)
      const list = ada.page.getByTestId('messages')
      expect(await list.locator('img, script, b').count()).toBe(0)
      expect(await ada.page.evaluate(() => 'harmed' in window)).toBe(false)
      const links = await list.locator('a').evaluateAll((anchors) =>
        anchors.map((anchor) => {
          const { href, rel, target } = anchor as HTMLAnchorElement
          return { href, rel, target }
        }),
      )
      const rest = { rel: 'noopener noreferrer', target: '_blank' }
      expect(links).toEqual([
        { href: 'https://example.org/a?b=c#d', ...rest },
        { href: 'http://example.com/', ...rest },
      ])
      for (const width of [1440, 390]) {
        await ada.page.setViewportSize({ width, height: 844 })
        const overflow = await list.evaluate((element) => element.scrollWidth - element.clientWidth)
        expect(overflow).toBe(0)
      }
      expectCleanPages(ada, grace)
    })

    test('a name is text, too', async () => {
      await using ada = await enter('names')
      await using grace = await enter('names')
      const name = grace.page.getByTestId('person-name')
      await name.fill('<i>Grace</i>')
      await name.press('Enter')
      await grace.write('Hello')
      await ada.sees(['Hello'])
      const author = ada.page.locator('.message .author').first()
      expect(await author.textContent()).toBe('<i>Grace</i>')
      expect(await ada.page.getByTestId('messages').locator('i').count()).toBe(0)
      expectCleanPages(ada, grace)
    })

    test('[P11] one sees who is typing, and that they have stopped', async () => {
      await using ada = await enter('typing')
      await using grace = await enter('typing')
      const name = await grace.page.getByTestId('person-name').inputValue()
      const typing = ada.page.getByTestId('typing')
      await grace.page.getByTestId('composer').pressSequentially('Well')
      await eventually(async () => expect(await typing.textContent()).toBe(`${name} is typing …`))
      await grace.page.getByTestId('composer').press('Enter')
      await ada.sees(['Well'])
      await eventually(async () => expect(await typing.textContent()).toBe(''))
      // Typing is no message: nothing of it is numbered, kept or counted.
      expect(await seqsOf(ada)).toEqual([1])
      expectCleanPages(ada, grace)
    })
  })
}

/** Messages of people who have left since, as many as one connection may send at once. */
async function fill(url: string, room: string, count: number, userId = 'filler'): Promise<void> {
  await using client = new RealtimeClient({ url, auth: `dev:${userId}` })
  const publishes = Array.from({ length: count }, (_, index) => {
    const payload = { text: `Number ${index + 1} of ${room}`, name: 'Filler' }
    return client.publish(`chat-room-${room}`, payload)
  })
  await client.connect()
  await Promise.all(publishes)
}

const upTo = (count: number, from = 1): number[] =>
  Array.from({ length: count - from + 1 }, (_, index) => from + index)

async function seqsOf(person: Person): Promise<number[]> {
  return (await person.messages()).map(({ seq }) => seq)
}

const distanceToEnd = (list: Locator): Promise<number> =>
  list.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight)

/** Up to where the page knows that a room was read, in what it keeps across a reload. */
function keptReadSeq({ page }: Person, room: string): Promise<number | null> {
  return page.evaluate((name) => {
    const kept = sessionStorage.getItem('realtime-playground:read') ?? '{}'
    return (JSON.parse(kept) as Record<string, { seq: number }>)[name]?.seq ?? null
  }, room)
}

async function expectUnreadLineBefore({ page }: Person, text: string): Promise<void> {
  const line = page.getByTestId('unread')
  expect(await line.count()).toBe(1)
  const next = line.locator('xpath=following-sibling::*[1]')
  expect(await next.getByTestId('message-text').textContent()).toBe(text)
}
