import { activeRoom, type AppState } from '../state.js'
import { Banner } from './banner.js'
import type { View, ViewContext } from './context.js'
import { button, h, setAttribute, setText } from './dom.js'
import { icon } from './icons.js'
import { roomLabel } from './labels.js'
import type { Composer } from './composer.js'
import type { MessageList } from './message-list.js'

export interface ChatPaneParts {
  readonly list: MessageList
  readonly composer: Composer
  readonly openRooms: () => void
  readonly toggleInspector: () => void
}

/** The middle: head, banner, messages, who is typing, and where one writes. */
export class ChatPane implements View {
  readonly element: HTMLElement
  readonly #context: ViewContext
  readonly #parts: ChatPaneParts
  readonly #banner: Banner
  readonly #title = h('h1', { 'data-testid': 'room-title' })
  readonly #status = h('span', { class: 'status', role: 'status', 'data-testid': 'status' })
  readonly #typing = h('p', { class: 'typing', 'data-testid': 'typing' })
  readonly #inspectorButton: HTMLButtonElement

  constructor(context: ViewContext, parts: ChatPaneParts) {
    this.#context = context
    this.#parts = parts
    const { words } = context
    this.#banner = new Banner(context)
    this.#inspectorButton = button(
      {
        class: 'icon-button',
        title: words.text('inspector.open'),
        'data-testid': 'toggle-inspector',
      },
      parts.toggleInspector,
      icon('panel'),
      h('span', { class: 'hidden' }, words.text('inspector.open')),
    )
    this.element = h(
      'main',
      { class: 'chat' },
      h(
        'header',
        { class: 'head' },
        button(
          {
            class: 'icon-button only-phone',
            title: words.text('rooms.open'),
            'data-testid': 'open-rooms',
          },
          parts.openRooms,
          icon('menu'),
          h('span', { class: 'hidden' }, words.text('rooms.open')),
        ),
        this.#title,
        this.#status,
        button(
          {
            class: 'quiet',
            title: words.text('language.switchTitle'),
            'data-testid': 'language',
          },
          () => context.switchLanguage(),
          words.text('language.switch'),
        ),
        this.#inspectorButton,
      ),
      this.#banner.element,
      parts.list.element,
      this.#typing,
      parts.composer.element,
    )
  }

  update(state: AppState): void {
    const { words } = this.#context
    const { room, typists } = activeRoom(state)
    setText(this.#title, roomLabel(room, words))
    setText(this.#status, words.text(`status.${state.connection.status}`))
    setAttribute(this.#status, 'data-status', state.connection.status)
    setAttribute(this.#inspectorButton, 'aria-expanded', String(state.inspectorOpen))
    const [first, second] = typists
    const values = { first: first?.name ?? '', second: second?.name ?? '' }
    const key =
      typists.length === 1 ? 'typing.one' : typists.length === 2 ? 'typing.two' : 'typing.many'
    setText(this.#typing, typists.length === 0 ? '' : words.text(key, values))
    this.#banner.update(state)
    this.#parts.list.update(state)
    this.#parts.composer.update(state)
  }

  dispose(): void {
    this.#banner.dispose()
  }
}
