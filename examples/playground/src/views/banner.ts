import { secondsUntil } from '../format.js'
import type { AppState } from '../state.js'
import type { View, ViewContext } from './context.js'
import { button, h, setText } from './dom.js'
import { reasonText } from './labels.js'

const TICK_MS = 250

/** What is wrong with the line, what happens next, and one button. Hidden while all is well. */
export class Banner implements View {
  readonly element: HTMLElement
  readonly #context: ViewContext
  readonly #text = h('strong', { 'data-testid': 'banner-text' })
  readonly #calm = h('span', { class: 'calm' })
  readonly #attempt = h('span', { class: 'attempt' })
  readonly #action: HTMLButtonElement
  #timer: number | null = null
  #act: () => void = () => undefined

  constructor(context: ViewContext) {
    this.#context = context
    this.#action = button({ class: 'action', 'data-testid': 'banner-action' }, () => this.#act())
    this.element = h(
      'div',
      { class: 'banner', 'data-testid': 'banner' },
      h('div', { class: 'words' }, this.#text, this.#calm, this.#attempt),
      this.#action,
    )
    this.element.hidden = true
  }

  update(state: AppState): void {
    const { status, wasConnected } = state.connection
    const isWell = status === 'connected' && state.cutUntil === null
    // A page that has just been opened connects in a moment: nothing to be said yet.
    this.element.hidden = isWell || status === 'idle'
    this.element.dataset['status'] = status
    if (isWell) {
      this.#stopTicking()
      return
    }
    this.#show(state)
    if (status === 'reconnecting' || (status === 'connecting' && wasConnected)) this.#startTicking()
    else this.#stopTicking()
  }

  dispose(): void {
    this.#stopTicking()
  }

  #show(state: AppState): void {
    const { words, session, now } = this.#context
    const { status, retryAt, attempt, failure } = state.connection
    const isFinal = status === 'disconnected' || status === 'closed'
    const isCut = state.cutUntil !== null
    this.element.classList.toggle('final', isFinal)
    setText(this.#attempt, attempt > 0 ? words.text('banner.attempt', { count: attempt }) : '')
    setText(this.#calm, words.text('banner.calm'))
    if (isFinal) {
      const reason = failure === null ? '' : reasonText(failure, words)
      setText(this.#text, words.text('banner.disconnected', { reason }))
      this.#offer(words.text('banner.connect'), () => session.connectNow())
    } else if (isCut) {
      setText(this.#text, words.text('banner.cut'))
      this.#offer(words.text('banner.mend'), () => session.controls.mendLine())
    } else if (retryAt !== null && retryAt > now()) {
      const seconds = secondsUntil(retryAt, now())
      setText(this.#text, words.text('banner.waiting', { seconds }))
      this.#offer(words.text('banner.now'), () => session.connectNow())
    } else {
      const first = !state.connection.wasConnected && attempt === 0
      setText(this.#text, words.text(first ? 'banner.connecting' : 'banner.trying'))
      this.#offer(words.text('banner.now'), () => session.connectNow())
      this.#action.hidden = first
    }
  }

  #offer(label: string, act: () => void): void {
    setText(this.#action, label)
    this.#act = act
    this.#action.hidden = false
  }

  #startTicking(): void {
    this.#timer ??= window.setInterval(() => this.#show(this.#context.store.get()), TICK_MS)
  }

  #stopTicking(): void {
    if (this.#timer !== null) window.clearInterval(this.#timer)
    this.#timer = null
  }
}
