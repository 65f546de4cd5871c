import type { Row } from '../chat/rows.js'
import type { ChatMessage, Delivery } from '../chat/entries.js'
import { initialsOf, instantOf, linkParts, timeOf } from '../format.js'
import type { Words } from '../i18n/words.js'
import { button, h, type Child } from './dom.js'
import { icon, type IconName } from './icons.js'
import { deliveryReason } from './labels.js'

export interface MessageActions {
  readonly retry: (id: string) => void
  readonly edit: (id: string) => void
}

type MessageRow = Extract<Row, { kind: 'message' }>

/** One message: whose, what, when, and what became of it. */
export function messageRow(row: MessageRow, words: Words, actions: MessageActions): HTMLElement {
  const { message, first, last, old } = row
  const { own, delivery, place } = message
  const name = message.name === '' ? words.text('chat.system') : message.name
  return h(
    'article',
    {
      class: [
        'message',
        own ? 'own' : 'other',
        first ? 'first' : '',
        last ? 'last' : '',
        old ? 'old' : '',
      ].join(' '),
      'data-testid': 'message',
      'data-id': message.key,
      'data-seq': place === null ? '' : String(place.seq),
      'data-epoch': place?.epoch ?? '',
      'data-state': delivery?.state ?? 'received',
      'data-outcome': delivery?.state === 'failed' && delivery.failure.unknown ? 'unknown' : '',
      'data-own': String(own),
      'data-old': String(old),
    },
    own
      ? null
      : h('span', { class: 'avatar', 'aria-hidden': 'true' }, first ? initialsOf(name) : ''),
    h(
      'div',
      { class: 'bubble' },
      h(
        'h3',
        { class: first && !own ? 'author' : 'author hidden' },
        own ? words.text('person.you') : name,
      ),
      h('p', { class: 'text', 'data-testid': 'message-text' }, ...textNodes(message.text)),
      footer(message, old, words),
    ),
    delivery?.state === 'failed' ? failureNote(message, delivery, words, actions) : null,
  )
}

function footer(message: ChatMessage, old: boolean, words: Words): HTMLElement {
  const { at, place, delivery } = message
  const details = [
    instantOf(at, words),
    ...(place === null ? [] : [`#${words.number(place.seq)}`]),
    ...(old ? [words.text('delivery.old')] : []),
  ]
  return h(
    'footer',
    { class: 'meta', title: details.join(' · ') },
    old ? h('span', { class: 'hidden' }, `${words.text('delivery.old')} · `) : null,
    h('time', { datetime: new Date(at).toISOString() }, timeOf(at, words)),
    delivery === null ? null : deliveryMark(message, delivery, words),
  )
}

const MARKS: Readonly<Record<Delivery['state'], IconName>> = {
  queued: 'clock',
  sent: 'tick',
  acknowledged: 'ticks',
  failed: 'alert',
}

function deliveryMark(message: ChatMessage, delivery: Delivery, words: Words): HTMLElement {
  const text = deliveryText(message, delivery, words)
  const isUnknown = delivery.state === 'failed' && delivery.failure.unknown
  return h(
    'span',
    { class: `delivery ${delivery.state}`, title: text, 'data-testid': 'delivery' },
    icon(isUnknown ? 'question' : MARKS[delivery.state]),
    h('span', { class: 'hidden' }, text),
  )
}

/** `#42 · delivered to 3`, or what else is known. */
function deliveryText(message: ChatMessage, delivery: Delivery, words: Words): string {
  const seq = message.place === null ? '' : words.number(message.place.seq)
  switch (delivery.state) {
    case 'queued':
      return words.text('delivery.queued')
    case 'sent':
      return words.text('delivery.sent')
    case 'acknowledged':
      return delivery.deliveredTo === null
        ? words.text('delivery.arrived', { seq })
        : words.text('delivery.acknowledged', { seq, count: words.number(delivery.deliveredTo) })
    case 'failed':
      return words.text(delivery.failure.unknown ? 'delivery.unknown' : 'delivery.failed')
  }
}

function failureNote(
  message: ChatMessage,
  delivery: Extract<Delivery, { state: 'failed' }>,
  words: Words,
  actions: MessageActions,
): HTMLElement {
  const { failure } = delivery
  const what = words.text(failure.unknown ? 'delivery.unknown' : 'delivery.failed')
  return h(
    'div',
    { class: 'failure', 'data-testid': 'failure', title: failure.message },
    h('span', {}, words.text('delivery.why', { what, reason: deliveryReason(failure, words) })),
    failure.retryable
      ? button(
          { class: 'link', 'data-testid': 'retry' },
          () => actions.retry(message.key),
          words.text('delivery.retry'),
        )
      : null,
    button(
      { class: 'link', 'data-testid': 'edit' },
      () => actions.edit(message.key),
      words.text('delivery.edit'),
    ),
  )
}

/** Text from others stays text; only addresses become links, and those tell nobody where we are. */
function textNodes(text: string): Child[] {
  return linkParts(text).map((part) =>
    part.href === undefined
      ? part.text
      : h('a', { href: part.href, target: '_blank', rel: 'noopener noreferrer' }, part.text),
  )
}
