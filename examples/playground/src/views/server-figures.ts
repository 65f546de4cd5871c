import { durationOf, mebibytesOf, millisecondsOf, shareOf } from '../format.js'
import type { AppState } from '../state.js'
import { section } from './client-figures.js'
import type { View, ViewContext } from './context.js'
import { h, setText } from './dom.js'
import { Figures, FigureTable } from './figures.js'

/** Older than this, figures are said to be old. */
const STALE_MS = 3_000
const SHOWN_CHANNELS = 8

/** What the server says of itself each second, through `system:metrics`. */
export class ServerFigures implements View {
  readonly element: HTMLElement
  readonly #context: ViewContext
  readonly #figures: Figures
  readonly #channels: FigureTable
  readonly #note = h('p', { class: 'note' })

  constructor(context: ViewContext) {
    this.#context = context
    const { words } = context
    this.#figures = new Figures([
      ['connections', words.text('inspector.connections')],
      ['users', words.text('inspector.users')],
      ['channels', words.text('inspector.channels')],
      ['subscriptions', words.text('inspector.subscriptions')],
      ['publishedTotal', words.text('inspector.publishedTotal')],
      ['deliveredTotal', words.text('inspector.deliveredTotal')],
      ['uptime', words.text('inspector.uptime')],
      ['cpu', words.text('inspector.cpu')],
      ['memory', words.text('inspector.memory')],
      ['delay', words.text('inspector.delay')],
    ])
    this.#channels = new FigureTable({
      caption: words.text('inspector.channelTable'),
      headings: [
        words.text('inspector.channel'),
        words.text('inspector.subscribers'),
        words.text('inspector.messages'),
      ],
      widths: ['wide', 'medium', 'medium'],
      empty: words.text('inspector.serverNone'),
    })
    this.element = h(
      'div',
      { 'data-testid': 'server-figures' },
      section(words.text('inspector.server'), this.#note, this.#figures.element),
      section(words.text('inspector.channelTable'), this.#channels.element),
    )
  }

  update({ metrics }: AppState): void {
    const { words, now } = this.#context
    this.#figures.element.hidden = metrics === null
    if (metrics === null) {
      setText(this.#note, words.text('inspector.serverNone'))
      this.#channels.update([])
      return
    }
    const age = now() - metrics.at
    const seconds = Math.round(age / 1_000)
    setText(this.#note, age > STALE_MS ? words.text('inspector.serverStale', { seconds }) : '')
    const { stats, cpu, memoryBytes, delayMs } = metrics.value
    this.#figures.set({
      connections: words.number(stats.connections),
      users: words.number(stats.users),
      channels: words.number(stats.channels),
      subscriptions: words.number(stats.subscriptions),
      publishedTotal: words.number(stats.publishedTotal),
      deliveredTotal: words.number(stats.deliveredTotal),
      uptime: durationOf(stats.uptimeMs, words),
      cpu: shareOf(cpu, words),
      memory: mebibytesOf(memoryBytes, words),
      delay: millisecondsOf(delayMs, words),
    })
    this.#channels.update(
      stats.channelDetails
        .slice(0, SHOWN_CHANNELS)
        .map(({ name, subscribers, messageCount }) => [
          name,
          words.number(subscribers),
          words.number(messageCount),
        ]),
    )
  }
}
