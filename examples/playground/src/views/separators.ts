import type { Gap } from '@bmt-central/realtime-protocol'
import type { Row } from '../chat/rows.js'
import { dayOf } from '../format.js'
import type { Words } from '../i18n/words.js'
import { button, h } from './dom.js'

type SeparatorRow = Exclude<Row, { kind: 'message' }>

export interface SeparatorActions {
  readonly reloadRoom: () => void
  readonly now: () => number
}

/** A line between messages: a day, where one had left off, what a recovery brought, what is missing. */
export function separatorRow(
  row: SeparatorRow,
  words: Words,
  actions: SeparatorActions,
): HTMLElement {
  switch (row.kind) {
    case 'day':
      return line('day', dayOf(row.at, actions.now(), words))
    case 'unread':
      return line('unread', words.text('chat.unreadLine'))
    case 'recovered':
      return row.lost === 0 && row.twice === 0
        ? line('recovered', words.counted('notice.recovered', row.count))
        : line(
            'faulty',
            words.text('notice.faulty', { count: row.count, lost: row.lost, twice: row.twice }),
          )
    case 'gap':
      return gapRow(row.gap, words, actions)
  }
}

function line(kind: string, text: string): HTMLElement {
  return h(
    'div',
    { class: `separator ${kind}`, role: 'separator', 'aria-label': text, 'data-testid': kind },
    h('span', {}, text),
  )
}

function gapRow(gap: Gap, words: Words, actions: SeparatorActions): HTMLElement {
  const restarted = gap.reason === 'epoch_changed'
  return h(
    'section',
    { class: 'gap', 'data-testid': 'gap', 'data-reason': gap.reason },
    h('strong', {}, restarted ? words.text('notice.restarted') : missingText(gap, words)),
    h('span', {}, words.text(restarted ? 'notice.restartedText' : 'notice.expiredText')),
    button(
      { class: 'link', 'data-testid': 'reload-room' },
      () => actions.reloadRoom(),
      words.text('notice.reload'),
    ),
  )
}

function missingText({ from, to }: Gap, words: Words): string {
  if (from === null || to === null) return words.text('notice.expiredUnknown')
  const values = { from: words.number(from), to: words.number(to) }
  return words.counted('notice.expired', to - from + 1, values)
}
