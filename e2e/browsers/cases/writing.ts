import { describe, expect, test } from 'vitest'
import { cutLine, holdCuts } from '../cut-line.js'
import { eventually } from '../eventually.js'
import { expectCleanPages, Person, type Visit } from '../person.js'
import type { Stage } from '../stage.js'

const focused = ({ page }: Person): Promise<string | null> =>
  page.evaluate(() => document.activeElement?.getAttribute('data-testid') ?? null)

/** What a writer does: drafts, input methods, the keyboard, languages. */
export function writingCases(stage: Stage): void {
  describe('writing', () => {
    const enter = (room: string, context: Visit['context'] = {}): Promise<Person> =>
      Person.enter(stage.browser, {
        address: stage.playground.address(),
        room,
        context,
        before: holdCuts,
      })

    test('the first view needs no reading: a name, a room, the cursor, a second person', async () => {
      await using ada = await enter('')
      expect(await ada.page.getByTestId('room-title').textContent()).toBe('Welcome')
      expect(await ada.page.getByTestId('person-name').inputValue()).toMatch(/^\w+ \w+$/)
      expect(await focused(ada)).toBe('composer')

      const [page] = await Promise.all([
        ada.context.waitForEvent('page'),
        ada.page.getByTestId('second').click(),
      ])
      const grace = Person.inWindow(page)
      await grace.isConnected()
      expect(await grace.figure('user')).not.toBe(await ada.figure('user'))
      await grace.write('Hello from the second window')
      await ada.sees(['Hello from the second window'])
      expect((await ada.messages()).filter(({ own }) => own)).toEqual([])
      expectCleanPages(ada, grace)
    })

    test('drafts belong to their room and survive a reload', async () => {
      await using ada = await enter('welcome')
      const composer = ada.page.getByTestId('composer')
      await composer.fill('Half a sentence\nand a second line')
      await ada.page.locator('[data-room=workshop]').click()
      expect(await composer.inputValue()).toBe('')
      await composer.fill('Something else')
      await ada.page.reload()
      await ada.isConnected()
      expect(await composer.inputValue()).toBe('Something else')
      await ada.page.locator('[data-room=welcome]').click()
      expect(await composer.inputValue()).toBe('Half a sentence\nand a second line')
      await composer.press('Enter')
      await ada.sees(['Half a sentence\nand a second line'])
      await ada.page.reload()
      await ada.sees(['Half a sentence\nand a second line'])
      expect(await composer.inputValue()).toBe('')
      expectCleanPages(ada)
    })

    test('[P4] a message that a reload overtook is kept, said to be unknown, and sent once', async () => {
      await using ada = await enter('overtaken')
      await using grace = await enter('overtaken')
      await cutLine(ada)
      await eventually(async () => expect(await ada.status()).toBe('reconnecting'))
      await ada.write('Was on my mind')
      expect(await ada.stateOf('Was on my mind')).toBe('queued')
      await ada.page.reload()
      await ada.isConnected()
      expect(await ada.messages()).toMatchObject([{ state: 'failed', outcome: 'unknown' }])
      expect(await ada.page.getByTestId('failure').textContent()).toContain('reloaded')
      await ada.page.getByTestId('retry').click()
      await eventually(async () => expect(await ada.stateOf('Was on my mind')).toBe('acknowledged'))
      await grace.sees(['Was on my mind'])
      expect(await grace.texts()).toEqual(['Was on my mind'])
      expectCleanPages(ada, grace)
    })

    test('what the server refuses is said with its code, and can be edited', async () => {
      await using ada = await enter('refused')
      const tooLong = 'x'.repeat(4_001)
      await ada.write(tooLong)
      const failure = ada.page.getByTestId('failure')
      await failure.waitFor()
      expect(await failure.textContent()).toContain('validation_failed')
      // The same again would be refused again.
      expect(await failure.getByTestId('retry').count()).toBe(0)
      await failure.getByTestId('edit').click()
      expect(await ada.page.getByTestId('composer').inputValue()).toBe(tooLong)
      expect(await ada.messages()).toEqual([])
      expectCleanPages(ada)
    })

    test('Enter while an input method composes does not send', async () => {
      await using ada = await enter('composing')
      const composer = ada.page.getByTestId('composer')
      const cdp = await ada.context.newCDPSession(ada.page)
      await ada.page.evaluate(() => {
        const seen: boolean[] = []
        Object.assign(window, { composingAtEnter: seen })
        document.addEventListener(
          'keydown',
          ({ key, isComposing }) => key === 'Enter' && seen.push(isComposing),
          true,
        )
      })
      const composition = { text: 'ni hao', selectionStart: 6, selectionEnd: 6 }
      await cdp.send('Input.imeSetComposition', composition)
      await ada.page.keyboard.press('Enter')
      expect(await composer.inputValue()).toContain('ni hao')
      expect(await ada.messages()).toEqual([])
      // Some browsers say it by a key code alone.
      await composer.evaluate((element) => {
        const init = { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true }
        element.dispatchEvent(new KeyboardEvent('keydown', init))
      })
      expect(await ada.messages()).toEqual([])
      await cdp.send('Input.insertText', { text: '你好' })
      await ada.page.keyboard.press('Enter')
      await ada.sees(['你好'])
      const seen = await ada.page.evaluate(
        () => (window as unknown as { composingAtEnter: boolean[] }).composingAtEnter,
      )
      expect(seen).toEqual([true, false, false])
      expectCleanPages(ada)
    })

    describe('languages', () => {
      const title = ({ page }: Person): Promise<string> => page.title()

      test("follow the browser's preference, can be switched, and are remembered", async () => {
        await using ada = await enter('welcome', { locale: 'zh-CN' })
        expect(await title(ada)).toBe('实时消息演示')
        expect(await ada.page.getByTestId('room-title').textContent()).toBe('欢迎')
        await ada.page.getByTestId('composer').fill('还没写完')
        await ada.page.getByTestId('language').click()
        expect(await title(ada)).toBe('Realtime playground')
        expect(await ada.page.locator('html').getAttribute('lang')).toMatch(/^en/)
        expect(await ada.page.getByTestId('composer').inputValue()).toBe('还没写完')
        await ada.page.reload()
        await ada.isConnected()
        expect(await title(ada)).toBe('Realtime playground')
        await ada.page.getByTestId('language').click()
        expect(await ada.page.locator('html').getAttribute('lang')).toMatch(/^zh/)
        expectCleanPages(ada)
      })
    })

    describe('the keyboard', () => {
      test('Shift+Enter breaks the line, Alt and arrows change the room, Escape leads back', async () => {
        await using ada = await enter('keys')
        const { keyboard } = ada.page
        await keyboard.type('first')
        await keyboard.press('Shift+Enter')
        await keyboard.type('second')
        expect(await ada.messages()).toEqual([])
        await keyboard.press('Enter')
        await ada.sees(['first\nsecond'])
        await keyboard.press('Enter')
        await keyboard.press('Alt+ArrowUp')
        const title = ada.page.getByTestId('room-title')
        expect(await title.textContent()).toBe('Workshop')
        await keyboard.press('Alt+ArrowDown')
        expect(await title.textContent()).toBe('keys')
        expect(await ada.texts()).toEqual(['first\nsecond'])

        await ada.page.locator('[data-room=welcome]').focus()
        await keyboard.press('ArrowDown')
        await keyboard.press('ArrowDown')
        await keyboard.press('Enter')
        expect(await title.textContent()).toBe('Workshop')
        expect(await focused(ada)).toBe('composer')
        await ada.page.getByTestId('language').focus()
        await keyboard.press('Escape')
        expect(await focused(ada)).toBe('composer')
        expectCleanPages(ada)
      })

      test('Tab reaches every control, and each shows that it has the focus', async () => {
        await using ada = await enter('welcome')
        const reached = new Set<string>()
        await ada.page.evaluate(() => (document.activeElement as HTMLElement).blur())
        for (let step = 0; step < 40; step += 1) {
          await ada.page.keyboard.press('Tab')
          const { name, outlined } = await ada.page.evaluate(() => {
            const element = document.activeElement
            if (element === null || element === document.body) return { name: '', outlined: true }
            const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element)
            const isOutlined = outlineStyle !== 'none' && outlineWidth !== '0px'
            const room = element.getAttribute('data-room')
            const id = element.getAttribute('data-testid') ?? element.tagName
            return {
              name: room === null ? id : `${id} ${room}`,
              outlined: isOutlined || boxShadow !== 'none',
            }
          })
          expect(outlined, `${name} shows its focus`).toBe(true)
          reached.add(name)
        }
        const controls = [
          'room welcome',
          'room tea-kitchen',
          'room workshop',
          'add-room',
          'person-name',
        ]
        const others = [
          'second',
          'cut',
          'kill',
          'language',
          'toggle-inspector',
          'messages',
          'composer',
        ]
        expect([...reached]).toEqual(expect.arrayContaining([...controls, ...others]))
      })

      test('on a phone, sheets take the focus and give it back', async () => {
        await using ada = await enter('welcome', { viewport: { width: 390, height: 844 } })
        const side = ada.page.getByTestId('side')
        expect(await side.isVisible()).toBe(false)
        await ada.page.getByTestId('open-rooms').click()
        expect(await side.isVisible()).toBe(true)
        await eventually(async () => {
          expect(await side.evaluate((element) => element.contains(document.activeElement))).toBe(
            true,
          )
        })
        await ada.page.keyboard.press('Escape')
        expect(await side.isVisible()).toBe(false)
        await eventually(async () => expect(await focused(ada)).toBe('composer'))
        await ada.page.getByTestId('toggle-inspector').click()
        expect(await ada.page.getByTestId('inspector').isVisible()).toBe(true)
        await ada.page.getByTestId('inspector').getByTestId('close-panel').click()
        expect(await ada.page.getByTestId('inspector').isVisible()).toBe(false)
        expectCleanPages(ada)
      })
    })

    test('the inspector shows both sides, live', async () => {
      await using ada = await enter('figures')
      const server = ada.page.getByTestId('server-figures')
      await eventually(async () => {
        expect(
          Number(await server.locator('[data-figure=connections]').textContent()),
        ).toBeGreaterThan(0)
      })
      const published = async (): Promise<number> =>
        Number(
          (await server.locator('[data-figure=publishedTotal]').textContent())?.replaceAll(',', ''),
        )
      const before = await published()
      for (const text of ['one', 'two', 'three']) await ada.write(text)
      await eventually(async () => expect(await published()).toBeGreaterThanOrEqual(before + 3))
      await eventually(async () => expect(await ada.figure('acknowledged')).not.toBe('0'))
      expectCleanPages(ada)
    })
  })
}
