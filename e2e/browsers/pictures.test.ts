import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { cutLine, holdCuts } from './cut-line.js'
import { eventually } from './eventually.js'
import { faultsOfLooks } from './looks.js'
import { expectCleanPages, Person } from './person.js'
import { setStage } from './stage.js'

// The pictures are for people to look at; what a program can judge of them is judged here.
const FOLDER = fileURLToPath(new URL('../../.cache/pictures/', import.meta.url))
const SIZES = { desk: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } }
const stage = setStage()

test('the chat can be read in both themes and languages, on a desk and a phone', async () => {
  mkdirSync(FOLDER, { recursive: true })
  const address = stage.playground.address('localhost')
  const visit = { room: 'workshop', address, before: holdCuts }
  await using ada = await Person.enter(stage.browser, visit)
  await using lin = await Person.enter(stage.browser, visit)
  await expectPictures(ada, 'empty')

  await rename(ada, 'Ada Lovelace')
  await rename(lin, '林小雨')
  await lin.write('早上好！新的原型已经放到服务器上了。')
  await lin.write('You can open it at https://example.org/prototype?version=3 (any browser).')
  await ada.sees(['早上好！新的原型已经放到服务器上了。'])
  await ada.write('Good morning! I am going to try and break it.')
  await ada.write(
    'First the cable, then the whole server.\n\nWrite something while I am gone, please.',
  )
  await eventually(async () => expect((await lin.messages()).length).toBe(4))

  // One message on its way while the server dies, one that waits for it.
  await ada.context.setOffline(true)
  await ada.write('Did this one arrive?')
  await lin.page.getByTestId('kill').click()
  await eventually(async () => expect(await ada.status()).toBe('reconnecting'))
  await ada.write('This one waited in the outbox.')
  await expectPictures(ada, 'offline')
  await lin.isConnected()
  await ada.context.setOffline(false)
  await ada.isConnected()
  await lin.sees(['This one waited in the outbox.'])

  await cutLine(ada)
  await eventually(async () => expect(await ada.status()).toBe('reconnecting'))
  for (const text of [
    '一条。',
    '两条，第二条长一些，看看换行之后是什么样子，时间和序号应该还在右下角。',
    '三条。',
  ]) {
    await lin.write(text)
  }
  await eventually(async () => expect(await lin.stateOf('三条。')).toBe('acknowledged'))
  await ada.page.getByTestId('banner-action').click()
  await ada.sees(['三条。'])
  await ada.write('All three are here.')

  await ada.page.locator('[data-room=welcome]').click()
  await lin.write(
    '太好了。 AVeryLongWordWithoutAnySpaceThatHasToBreakSomewhereOrItSticksOutOfTheBubbleAndThePage',
  )
  await ada.page.locator('[data-room=workshop]').click()
  await ada.page.getByTestId('unread').waitFor()
  await lin.page.getByTestId('composer').pressSequentially('Next ')
  await eventually(async () =>
    expect(await ada.page.getByTestId('typing').textContent()).not.toBe(''),
  )
  await expectPictures(ada, 'chat')
  expectCleanPages(ada, lin)
})

async function rename(person: Person, name: string): Promise<void> {
  const input = person.page.getByTestId('person-name')
  await input.fill(name)
  await input.press('Enter')
}

/** The page as it is now in all its looks, and its sheets on a phone. */
async function expectPictures(person: Person, state: string): Promise<void> {
  const { page } = person
  for (const language of ['en', 'zh']) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport)
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        await expectPicture(person, `${state}-${size}-${colorScheme}-${language}`)
        if (size !== 'phone') continue
        for (const sheet of ['open-rooms', 'toggle-inspector']) {
          await page.getByTestId(sheet).click()
          await expectPicture(person, `${state}-${size}-${colorScheme}-${language}-${sheet}`)
          await page.keyboard.press('Escape')
        }
      }
    }
    await page.setViewportSize(SIZES.desk)
    await page.getByTestId('language').click()
  }
  await page.emulateMedia({ colorScheme: 'light' })
}

async function expectPicture({ page }: Person, name: string): Promise<void> {
  expect(await faultsOfLooks(page), name).toEqual([])
  await page.screenshot({ path: join(FOLDER, `${name}.png`) })
}
