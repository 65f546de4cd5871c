import { MAX_ROOMS, roomNameOf } from '../chat/rooms.js'
import { unreadOf } from '../chat/unread.js'
import { cleanName, MAX_NAME_LENGTH } from '../person.js'
import type { AppState } from '../state.js'
import type { View, ViewContext } from './context.js'
import { button, h, KeyedList, setText, type KeyedItem } from './dom.js'
import { icon } from './icons.js'
import { roomLabel } from './labels.js'

interface RoomItem extends KeyedItem {
  readonly isActive: boolean
  readonly unread: number
}

/** The rooms, and the name that one goes by. */
export class RoomsPanel implements View {
  readonly element: HTMLElement
  readonly #context: ViewContext
  readonly #list: KeyedList<RoomItem>
  readonly #listElement: HTMLElement
  readonly #name: HTMLInputElement

  constructor(context: ViewContext) {
    this.#context = context
    const { words } = context
    this.#listElement = h('nav', { class: 'room-list', 'aria-label': words.text('rooms.title') })
    this.#listElement.addEventListener('keydown', (event) => this.#onKey(event))
    this.#list = new KeyedList<RoomItem>(this.#listElement, (item) => this.#roomButton(item))
    this.#name = h('input', {
      id: 'person-name',
      class: 'field',
      title: words.text('person.hint'),
      'data-testid': 'person-name',
      autocomplete: 'off',
      maxlength: String(MAX_NAME_LENGTH),
    })
    this.#name.addEventListener('change', () => this.#rename())
    this.#name.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.isComposing) return
      this.#rename()
      context.focusComposer()
    })
    this.element = h(
      'div',
      { class: 'rooms' },
      h('h2', { class: 'section-title' }, words.text('rooms.title')),
      this.#listElement,
      this.#addForm(),
      h(
        'div',
        { class: 'person' },
        h('label', { for: 'person-name' }, words.text('person.label')),
        this.#name,
      ),
    )
  }

  update(state: AppState): void {
    const focused = this.#listElement.contains(document.activeElement)
      ? document.activeElement?.getAttribute('data-room')
      : null
    this.#list.update(
      state.rooms.map(({ room, timeline, readUpTo }) => ({
        key: room,
        isActive: room === state.active,
        unread: unreadOf(timeline, readUpTo).length,
      })),
    )
    // The button that had the focus may have been replaced.
    if (typeof focused === 'string') this.#list.elementOf(focused)?.focus()
    if (document.activeElement !== this.#name) this.#name.value = state.person.name
  }

  #roomButton({ key, isActive, unread }: RoomItem): HTMLElement {
    const { words } = this.#context
    return button(
      {
        class: isActive ? 'room active' : 'room',
        'data-testid': 'room',
        'data-room': key,
        'data-unread': String(unread),
        'aria-current': isActive ? 'true' : undefined,
      },
      () => void this.#select(key),
      icon('hash'),
      h('span', { class: 'name' }, roomLabel(key, words)),
      unread === 0 || isActive
        ? null
        : h(
            'span',
            { class: 'count', title: words.counted('rooms.unread', unread) },
            words.number(unread),
            h('span', { class: 'hidden' }, ` · ${words.counted('rooms.unread', unread)}`),
          ),
    )
  }

  #select(room: string): boolean {
    const { session, store } = this.#context
    if (!session.selectRoom(room)) return false
    store.update((state) => ({ ...state, sheet: null }))
    this.#context.focusComposer()
    return true
  }

  /** Arrows move between rooms, as in any list. */
  #onKey(event: KeyboardEvent): void {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step === 0) return
    event.preventDefault()
    const buttons = Array.from(this.#listElement.querySelectorAll('button'))
    const at = buttons.findIndex((candidate) => candidate === document.activeElement)
    buttons[(at + step + buttons.length) % buttons.length]?.focus()
  }

  #addForm(): HTMLElement {
    const { words } = this.#context
    const input = h('input', {
      class: 'field',
      'aria-label': words.text('rooms.addLabel'),
      'data-testid': 'room-name',
      autocomplete: 'off',
      maxlength: '40',
    })
    const fault = h('p', { class: 'note warning', role: 'alert' })
    const confirm = h('button', { class: 'quiet', type: 'submit' }, words.text('rooms.addConfirm'))
    const form = h('form', { class: 'add-room' }, input, confirm)
    const open = button(
      { class: 'room add', 'data-testid': 'add-room', 'aria-expanded': 'false' },
      () => show(form.hidden !== false),
      icon('plus'),
      h('span', { class: 'name' }, words.text('rooms.add')),
    )
    const show = (visible: boolean): void => {
      form.hidden = !visible
      open.setAttribute('aria-expanded', String(visible))
      setText(fault, '')
      if (visible) input.focus()
    }
    form.hidden = true
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      const room = roomNameOf(input.value)
      if (room === null) {
        setText(fault, words.text('rooms.addInvalid'))
      } else if (this.#select(room)) {
        input.value = ''
        show(false)
      } else {
        setText(fault, words.text('rooms.tooMany', { count: MAX_ROOMS }))
      }
    })
    form.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return
      event.stopPropagation()
      show(false)
      open.focus()
    })
    return h('div', {}, open, form, fault)
  }

  #rename(): void {
    const { session, store } = this.#context
    const name = cleanName(this.#name.value)
    if (name === null) this.#name.value = store.get().person.name
    else session.rename(name)
  }
}
