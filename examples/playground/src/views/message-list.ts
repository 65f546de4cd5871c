import { rowsOf, shownRange, type Row } from '../chat/rows.js'
import { unreadOf } from '../chat/unread.js'
import { activeRoom, type AppState, type RoomView } from '../state.js'
import type { View, ViewContext } from './context.js'
import { button, h, KeyedList, setAttribute } from './dom.js'
import { icon } from './icons.js'
import { reasonText, roomLabel } from './labels.js'
import { messageRow } from './message-row.js'
import { ScrollKeeper } from './scroll-keeper.js'
import { separatorRow } from './separators.js'

export interface MessageListOptions {
  /** Whether somebody looks at this window. */
  readonly isPresent: () => boolean
  readonly onEdit: (room: string, id: string) => void
}

/** Entries by which the shown part moves when one reaches its edge. */
const STEP = 100

/** The messages of the open room. At most `MAX_SHOWN` of them are in the document. */
export class MessageList implements View {
  readonly element: HTMLElement
  readonly #context: ViewContext
  readonly #options: MessageListOptions
  readonly #scroller: HTMLElement
  readonly #rowsElement = h('div', { class: 'rows' })
  readonly #top = h('div', { class: 'top', 'data-testid': 'top' })
  readonly #below: HTMLButtonElement
  readonly #rows: KeyedList<Row>
  readonly #scroll: ScrollKeeper
  #room = ''
  /** null follows the newest. */
  #endKey: string | null = null
  #following = true

  constructor(context: ViewContext, options: MessageListOptions) {
    this.#context = context
    this.#options = options
    const { words, session, now } = context
    this.#scroller = h(
      'div',
      {
        class: 'scroller',
        role: 'log',
        'aria-live': 'off',
        tabindex: '0',
        'data-testid': 'messages',
      },
      this.#top,
      this.#rowsElement,
    )
    this.#below = button({ class: 'below', 'data-testid': 'new-below' }, () => this.toLatest())
    this.element = h('div', { class: 'list' }, this.#scroller, this.#below)
    this.#scroll = new ScrollKeeper(this.#scroller)
    const retry = (id: string): void => session.outgoing.retry(this.#room, id)
    const edit = (id: string): void => options.onEdit(this.#room, id)
    const reloadRoom = (): void => session.reloadRoom()
    this.#rows = new KeyedList<Row>(this.#rowsElement, (row) =>
      row.kind === 'message'
        ? messageRow(row, words, { retry, edit })
        : separatorRow(row, words, { reloadRoom, now }),
    )
    this.#scroller.addEventListener('scroll', () => this.#onScroll(), { passive: true })
    // A banner, a keyboard or a longer text below takes room away: the newest stays in sight.
    new ResizeObserver(() => {
      if (this.#following) this.#scroll.toEnd()
    }).observe(this.#scroller)
  }

  update(state: AppState): void {
    const view = activeRoom(state)
    const entering = view.room !== this.#room
    if (entering) {
      this.#room = view.room
      this.#endKey = null
      this.#following = true
      const label = roomLabel(view.room, this.#context.words)
      setAttribute(
        this.#scroller,
        'aria-label',
        this.#context.words.text('chat.messages', { room: label }),
      )
    }
    const range = shownRange(view.timeline.entries, { endKey: this.#endKey })
    const rows = rowsOf(view.timeline, range, view.unreadKey)
    const change = (): void => {
      this.#rows.update(rows)
      this.#updateTop(view, state, range.start === 0)
    }
    if (this.#following) {
      change()
      if (entering) this.#enter()
      else this.#scroll.toEnd()
    } else {
      this.#scroll.keeping(this.#rowsElement, change)
      // At the very top nothing scrolls any more: no event would ask for what has come above.
      if (this.#scroll.isNearTop && range.start > 0) return this.#showOlder(view, range.end)
    }
    this.#updateBelow(view)
  }

  /** Shows the newest message, and follows from then on. */
  toLatest(): void {
    this.#endKey = null
    this.#following = true
    this.update(this.#context.store.get())
    this.look()
    this.#context.focusComposer()
  }

  /** Whether the newest message is before somebody's eyes. */
  look(): void {
    this.#context.session.looking(this.#following && this.#options.isPresent())
  }

  scrollBy(pages: number): void {
    this.#scroller.scrollBy({ top: pages * this.#scroller.clientHeight * 0.9 })
  }

  #enter(): void {
    const unread = this.#rows.elementOf('unread')
    this.#scroll.toEnd()
    if (unread !== null && unread.getBoundingClientRect().top < 0) this.#scroll.toElement(unread)
    this.#following = this.#scroll.isAtEnd
    this.look()
  }

  #onScroll(): void {
    const view = activeRoom(this.#context.store.get())
    const { entries } = view.timeline
    const { start, end } = shownRange(entries, { endKey: this.#endKey })
    const atEnd = this.#scroll.isAtEnd
    if (atEnd && end < entries.length) {
      this.#moveEnd(entries[Math.min(entries.length, end + STEP) - 1]?.key ?? null)
    } else if (this.#scroll.isNearTop && start > 0) {
      this.#showOlder(view, end)
    } else if (this.#scroll.isNearTop && !atEnd && view.earlier === 'maybe') {
      // The part that is shown stops growing at its newer end, so that older ones fit in.
      this.#context.session.loadEarlier()
    }
    const following = atEnd && end >= entries.length
    if (following === this.#following) return
    this.#following = following
    // While one reads further up, nothing that comes in takes lines away at the other end.
    this.#endKey = following ? null : (entries[end - 1]?.key ?? null)
    this.#updateBelow(view)
    this.look()
  }

  #showOlder({ timeline }: RoomView, end: number): void {
    this.#moveEnd(timeline.entries[Math.max(0, end - STEP - 1)]?.key ?? null)
  }

  #moveEnd(endKey: string | null): void {
    this.#following = false
    this.#endKey = endKey
    this.update(this.#context.store.get())
  }

  #updateBelow(view: RoomView): void {
    const { words } = this.#context
    const count = unreadOf(view.timeline, view.readUpTo).length
    const text = count === 0 ? words.text('chat.toLatest') : words.counted('chat.newBelow', count)
    this.#below.replaceChildren(icon('down'), text)
    this.#below.hidden = this.#following
    setAttribute(this.#below, 'data-count', String(count))
  }

  #updateTop(view: RoomView, state: AppState, fromFirst: boolean): void {
    const content = this.#topContent(view, state, fromFirst)
    const shown = Array.from(this.#top.childNodes)
    if (content.map(textOf).join('\n') === shown.map(textOf).join('\n')) return
    this.#top.replaceChildren(...content)
  }

  #topContent(view: RoomView, state: AppState, fromFirst: boolean): HTMLElement[] {
    const { words, session } = this.#context
    const empty = view.timeline.entries.length === 0
    if (view.phase === 'failed' && view.failure !== null) {
      const reason = reasonText(view.failure, words)
      return [h('p', { class: 'state' }, words.text('chat.refused', { reason }))]
    }
    if (empty && view.phase === 'loading') {
      const key = state.connection.status === 'connected' ? 'chat.loading' : 'chat.offlineEmpty'
      return [h('p', { class: 'state' }, words.text(key))]
    }
    if (empty) {
      return [
        h('p', { class: 'state strong' }, words.text('chat.empty')),
        h('p', { class: 'state' }, words.text('chat.emptySteps')),
      ]
    }
    if (!fromFirst || view.phase === 'loading') return []
    switch (view.earlier) {
      case 'none':
        return [h('p', { class: 'state' }, words.text('chat.beginning'))]
      case 'loading':
        return [h('p', { class: 'state' }, words.text('chat.loadingEarlier'))]
      case 'maybe':
        return [button({ class: 'link' }, () => session.loadEarlier(), words.text('chat.earlier'))]
      case 'failed': {
        const reason = view.earlierFailure === null ? '' : reasonText(view.earlierFailure, words)
        return [
          h('p', { class: 'state' }, words.text('chat.earlierFailed', { reason })),
          button({ class: 'link' }, () => session.loadEarlier(), words.text('chat.earlier')),
        ]
      }
    }
  }
}

function textOf(node: Node): string {
  return node.textContent ?? ''
}
