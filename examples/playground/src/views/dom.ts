export type Child = Node | string | null

export interface Attributes {
  readonly class?: string
  readonly id?: string
  readonly title?: string
  readonly type?: string
  readonly role?: string
  readonly href?: string
  readonly [attribute: `aria-${string}` | `data-${string}`]: string | undefined
  readonly tabindex?: string
  readonly for?: string
  readonly target?: string
  readonly rel?: string
  readonly autocomplete?: string
  readonly maxlength?: string
  readonly rows?: string
  readonly scope?: string
  readonly datetime?: string
  readonly enterkeyhint?: string
}

/** An element with attributes and children. Strings become text, whatever they hold. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, String(value))
  }
  element.append(...children.filter((child) => child !== null))
  return element
}

/** A button that says what it does; never the submit of a form unless it is meant to be. */
export function button(
  attributes: Attributes,
  onClick: (event: MouseEvent) => void,
  ...children: readonly Child[]
): HTMLButtonElement {
  const element = h('button', { type: 'button', ...attributes }, ...children)
  element.addEventListener('click', onClick)
  return element
}

/** Sets a text only where it differs: a screen reader hears each change. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name)
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value)
}

export interface KeyedItem {
  readonly key: string
}

/** A container whose children follow a list: what stays is kept, moved where needed, never rebuilt. */
export class KeyedList<Item extends KeyedItem> {
  readonly #container: HTMLElement
  readonly #render: (item: Item) => HTMLElement
  #shown = new Map<string, { item: Item; element: HTMLElement }>()

  constructor(container: HTMLElement, render: (item: Item) => HTMLElement) {
    this.#container = container
    this.#render = render
  }

  update(items: readonly Item[]): void {
    const next = new Map<string, { item: Item; element: HTMLElement }>()
    for (const item of items) {
      const known = this.#shown.get(item.key)
      const kept = known !== undefined && sameFields(known.item, item)
      const element = kept ? known.element : this.#render(item)
      if (known !== undefined && !kept) known.element.replaceWith(element)
      next.set(item.key, { item, element })
    }
    for (const [key, { element }] of this.#shown) if (!next.has(key)) element.remove()
    let cursor = this.#container.firstChild
    for (const { element } of next.values()) {
      if (element === cursor) cursor = cursor.nextSibling
      else this.#container.insertBefore(element, cursor)
    }
    this.#shown = next
  }

  elementOf(key: string): HTMLElement | null {
    return this.#shown.get(key)?.element ?? null
  }
}

function sameFields(one: object, other: object): boolean {
  const fields = Object.entries(one)
  return (
    fields.length === Object.keys(other).length &&
    fields.every(([name, value]) => Object.is((other as Record<string, unknown>)[name], value))
  )
}
