import { durationOf, millisecondsOf, timeOf } from '../format.js'
import type { Words } from '../i18n/words.js'
import type { AppState, Recovery, TopicView } from '../state.js'
import type { View, ViewContext } from './context.js'
import { h, setText } from './dom.js'
import { Figures, FigureTable } from './figures.js'
import { reasonText, roomLabel } from './labels.js'

const SHOWN_OUTBOX = 8

/** What this client knows of itself: connection, topics, outbox, recoveries, its statistics. */
export class ClientFigures implements View {
  readonly element: HTMLElement
  readonly #context: ViewContext
  readonly #connection: Figures
  readonly #topics: FigureTable
  readonly #outbox: FigureTable
  readonly #more = h('p', { class: 'note' })
  readonly #recoveries: FigureTable
  readonly #statistics: Figures

  constructor(context: ViewContext) {
    this.#context = context
    const { words } = context
    const text = (key: Parameters<Words['text']>[0]): string => words.text(key)
    this.#connection = new Figures([
      ['status', text('inspector.status')],
      ['attempts', text('inspector.attempts')],
      ['reconnects', text('inspector.reconnects')],
      ['since', text('inspector.since')],
      ['latency', text('inspector.latency')],
      ['user', text('inspector.user')],
      ['id', text('inspector.id')],
      ['error', text('inspector.lastError')],
    ])
    this.#topics = new FigureTable({
      caption: text('inspector.topics'),
      headings: [text('inspector.topic'), text('inspector.state'), text('inspector.position')],
      widths: ['wide', 'medium', 'medium'],
      empty: '',
    })
    this.#outbox = new FigureTable({
      caption: text('inspector.outbox'),
      headings: [text('inspector.state'), text('inspector.topic')],
      widths: ['narrow', 'medium'],
      empty: text('inspector.outboxEmpty'),
    })
    this.#recoveries = new FigureTable({
      caption: text('inspector.recoveries'),
      headings: [],
      widths: ['narrow', 'medium'],
      empty: text('inspector.recoveriesEmpty'),
    })
    this.#statistics = new Figures([
      ['published', text('inspector.published')],
      ['acknowledged', text('inspector.acknowledged')],
      ['failed', text('inspector.failed')],
      ['queueSize', text('inspector.queue')],
      ['received', text('inspector.received')],
      ['recovered', text('inspector.recovered')],
      ['duplicates', text('inspector.duplicates')],
      ['twice', text('inspector.twice')],
      ['gaps', text('inspector.gaps')],
    ])
    this.element = h(
      'div',
      {},
      section(text('inspector.connection'), this.#connection.element),
      section(text('inspector.outbox'), this.#outbox.element, this.#more),
      section(text('inspector.recoveries'), this.#recoveries.element),
      section(text('inspector.topics'), this.#topics.element),
      section(text('inspector.client'), this.#statistics.element),
    )
  }

  update(state: AppState): void {
    const { words } = this.#context
    this.#updateConnection(state)
    this.#topics.update(state.topics.map((topic) => topicRow(topic, words)))
    const waiting = state.outbox.slice(0, SHOWN_OUTBOX)
    this.#outbox.update(
      waiting.map(({ topic, state: step }) => [words.text(`inspector.${step}`), topic]),
    )
    const more = state.outbox.length - waiting.length
    setText(
      this.#more,
      more > 0 ? words.text('inspector.outboxMore', { count: words.number(more) }) : '',
    )
    this.#recoveries.update(state.recoveries.map((recovery) => recoveryRow(recovery, words)))
    this.#updateStatistics(state)
  }

  #updateConnection(state: AppState): void {
    const { words, now } = this.#context
    const { client, connection, person } = state
    const { failure } = connection
    this.#connection.set({
      status: words.text(`status.${connection.status}`),
      attempts: words.number(connection.attempt),
      reconnects: words.number(client?.reconnectCount ?? 0),
      since:
        client?.connectedAt === null || client === null
          ? '–'
          : durationOf(now() - client.connectedAt, words),
      latency:
        client?.latencyMs === null || client === null
          ? words.text('inspector.noHeartbeat')
          : millisecondsOf(client.latencyMs, words),
      user: person.userId,
      id: client?.connectionId ?? '–',
      error: failure === null ? '–' : reasonText(failure, words),
    })
  }

  #updateStatistics({ client, rooms }: AppState): void {
    if (client === null) return
    const { words } = this.#context
    const twice = rooms.reduce((sum, { timeline }) => sum + timeline.twice, 0)
    this.#statistics.set({
      published: words.number(client.published),
      acknowledged: words.number(client.acknowledged),
      failed: words.number(client.failed),
      queueSize: words.number(client.queueSize),
      received: words.number(client.received),
      recovered: words.number(client.recoveredMessages),
      duplicates: words.number(client.duplicates),
      twice: words.number(twice),
      gaps: words.number(client.gaps),
    })
  }
}

export function section(title: string, ...content: readonly HTMLElement[]): HTMLElement {
  return h('section', { class: 'panel-section' }, h('h3', {}, title), ...content)
}

function topicRow({ topic, state, position }: TopicView, words: Words): string[] {
  return [topic, words.text(`inspector.sub.${state}`), positionText(position, words)]
}

/** Epochs are opaque: their end is enough to see that one has changed. */
function positionText(position: TopicView['position'], words: Words): string {
  if (position === null) return words.text('inspector.noPosition')
  if (position.epoch === '') return words.text('inspector.live')
  return `#${words.number(position.seq)} · ${position.epoch.slice(-4)}`
}

function recoveryRow(recovery: Recovery, words: Words): string[] {
  const room = roomLabel(recovery.room, words)
  const what =
    recovery.kind === 'recovered'
      ? words.text('inspector.recoveredRow', { room, count: words.number(recovery.count) })
      : words.text('inspector.gapRow', {
          room,
          reason: words.text(`inspector.gap.${recovery.gap.reason}`),
        })
  return [timeOf(recovery.at, words), what]
}
