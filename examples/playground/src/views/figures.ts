import { h, setText } from './dom.js'

/** A list of names and values; only values that change touch the document. */
export class Figures {
  readonly element: HTMLElement
  readonly #values = new Map<string, HTMLElement>()

  constructor(rows: readonly (readonly [name: string, label: string])[]) {
    const children = rows.map(([name, label]) => {
      const value = h('dd', { 'data-figure': name })
      this.#values.set(name, value)
      return h('div', {}, h('dt', {}, label), value)
    })
    this.element = h('dl', { class: 'figures' }, ...children)
  }

  set(values: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(values)) {
      const element = this.#values.get(name)
      if (element === undefined) continue
      setText(element, text)
      element.title = text
    }
  }
}

export interface FigureTableOptions {
  /** What it holds, for screen readers: the heading above it says so to others. */
  readonly caption: string
  readonly headings: readonly string[]
  readonly widths: readonly ('wide' | 'medium' | 'narrow')[]
  /** Stands where there are no rows. */
  readonly empty: string
}

/** A small table whose rows are replaced when they change. */
export class FigureTable {
  readonly element: HTMLElement
  readonly #body = h('tbody')
  readonly #table: HTMLElement
  readonly #empty: HTMLElement
  #shown = ''

  constructor({ caption, headings, widths, empty }: FigureTableOptions) {
    this.#table = h(
      'table',
      { class: 'table' },
      h('caption', { class: 'hidden' }, caption),
      h('colgroup', {}, ...widths.map((width) => h('col', { class: width }))),
      headings.length === 0
        ? null
        : h('thead', {}, h('tr', {}, ...headings.map((text) => h('th', { scope: 'col' }, text)))),
      this.#body,
    )
    this.#empty = h('p', { class: 'note' }, empty)
    this.element = h('div', {}, this.#table, this.#empty)
  }

  update(rows: readonly (readonly string[])[]): void {
    this.#table.hidden = rows.length === 0
    this.#empty.hidden = rows.length > 0
    const text = JSON.stringify(rows)
    if (text === this.#shown) return
    this.#shown = text
    this.#body.replaceChildren(
      ...rows.map((cells) => h('tr', {}, ...cells.map((cell) => h('td', { title: cell }, cell)))),
    )
  }
}
