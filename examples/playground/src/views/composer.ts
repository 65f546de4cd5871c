import { activeRoom, type AppState } from '../state.js'
import type { View, ViewContext } from './context.js'
import { h, setAttribute, setText } from './dom.js'
import { icon } from './icons.js'
import { roomLabel } from './labels.js'

/** What the server takes; longer texts are still kept and sent, and its refusal is shown. */
const MAX_TEXT = 4_000
const WARN_FROM = 3_800
/** Key code of a key that an input method has taken, where a browser does not say `isComposing`. */
const TAKEN_BY_INPUT_METHOD = 229

export interface ComposerOptions {
  readonly onSend: () => void
  /** Scrolls the messages by so many pages. */
  readonly scrollBy: (pages: number) => void
  readonly selectNeighbour: (step: 1 | -1) => void
}

/** Where one writes. What is typed is a draft of its room until it is sent. */
export class Composer implements View {
  readonly element: HTMLElement
  readonly #context: ViewContext
  readonly #options: ComposerOptions
  readonly #input: HTMLTextAreaElement
  readonly #note = h('p', { class: 'note', id: 'composer-note' })
  readonly #send: HTMLButtonElement
  #room = ''

  constructor(context: ViewContext, options: ComposerOptions) {
    this.#context = context
    this.#options = options
    const { words } = context
    this.#input = h('textarea', {
      class: 'input',
      rows: '1',
      'aria-label': words.text('composer.label'),
      'aria-describedby': 'composer-note',
      'data-testid': 'composer',
      autocomplete: 'off',
      enterkeyhint: 'send',
    })
    const label = words.text('composer.send')
    this.#send = h(
      'button',
      { class: 'send', type: 'submit', title: label, 'data-testid': 'send' },
      icon('send'),
      h('span', { class: 'label' }, label),
    )
    const form = h('form', { class: 'composer' }, this.#input, this.#send)
    this.element = h('div', { class: 'composer-area' }, form, this.#note)
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      this.#submit()
    })
    this.#input.addEventListener('input', () => this.#onInput())
    this.#input.addEventListener('keydown', (event) => this.#onKey(event))
  }

  update(state: AppState): void {
    const { room } = activeRoom(state)
    if (room === this.#room) return
    this.#room = room
    const { words, drafts } = this.#context
    const placeholder = words.text('composer.placeholder', { room: roomLabel(room, words) })
    setAttribute(this.#input, 'placeholder', placeholder)
    this.#show(drafts.of(room))
  }

  focus(): void {
    this.#input.focus()
  }

  /** Puts a text before what is typed already, so that neither is lost. */
  prepend(text: string): void {
    const typed = this.#input.value
    const joined = typed === '' ? text : `${text}\n${typed}`
    this.#context.drafts.keep(this.#room, joined)
    this.#show(joined)
    this.focus()
  }

  #show(text: string): void {
    this.#input.value = text
    this.#adapt()
  }

  #onInput(): void {
    const text = this.#input.value
    this.#context.drafts.keep(this.#room, text)
    this.#context.session.typing(text.trim() !== '')
    this.#adapt()
  }

  #onKey(event: KeyboardEvent): void {
    // While an input method composes, Enter chooses a word, and arrows move in its list.
    if (event.isComposing || event.keyCode === TAKEN_BY_INPUT_METHOD) return
    if (event.key === 'Enter' && !event.shiftKey && !event.ctrlKey && !event.altKey) {
      event.preventDefault()
      this.#submit()
    } else if (event.key === 'PageUp' || event.key === 'PageDown') {
      event.preventDefault()
      this.#options.scrollBy(event.key === 'PageUp' ? -1 : 1)
    } else if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
      event.preventDefault()
      this.#options.selectNeighbour(event.key === 'ArrowUp' ? -1 : 1)
    }
  }

  #submit(): void {
    const text = this.#input.value.trim()
    if (text === '') return
    const { session, drafts } = this.#context
    session.outgoing.send(this.#room, text)
    session.typing(false)
    drafts.keep(this.#room, '')
    this.#show('')
    this.#options.onSend()
    this.focus()
  }

  #adapt(): void {
    const { words } = this.#context
    const input = this.#input
    const { length } = input.value.trim()
    this.#send.disabled = length === 0
    const values = { count: words.number(length), max: words.number(MAX_TEXT) }
    setText(
      this.#note,
      words.text(length > WARN_FROM ? 'composer.tooLong' : 'composer.hint', values),
    )
    this.#note.classList.toggle('warning', length > MAX_TEXT)
    input.style.height = 'auto'
    input.style.height = `${input.scrollHeight}px`
  }
}
