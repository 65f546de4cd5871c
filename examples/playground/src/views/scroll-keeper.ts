/** How near to the end counts as being there, in px. */
const NEAR_PX = 48
/** How near to the top earlier messages are wanted. */
const TOP_PX = 200
/** Visible rows of which one stays, whatever changes above. */
const ANCHORS = 8

/** Keeps the reader's place in a list that grows at both ends. */
export class ScrollKeeper {
  readonly #scroller: HTMLElement

  constructor(scroller: HTMLElement) {
    this.#scroller = scroller
  }

  get isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller
    return scrollHeight - scrollTop - clientHeight <= NEAR_PX
  }

  get isNearTop(): boolean {
    return this.#scroller.scrollTop <= TOP_PX
  }

  toEnd(): void {
    this.#scroller.scrollTop = this.#scroller.scrollHeight
  }

  toElement(element: HTMLElement): void {
    this.#scroller.scrollTop += element.getBoundingClientRect().top - this.#top() - NEAR_PX
  }

  /** Runs a change to the list; what the reader sees stays where it is. */
  keeping(rows: HTMLElement, change: () => void): void {
    const before = this.#visibleRows(rows)
    change()
    // The first ones may be drawn anew: a day's line, or a message that begins no group any more.
    const anchor = before.find(({ row }) => row.isConnected)
    if (anchor === undefined) return
    this.#scroller.scrollTop += anchor.row.getBoundingClientRect().top - anchor.top
  }

  #visibleRows(rows: HTMLElement): { row: Element; top: number }[] {
    const edge = this.#top()
    const visible: { row: Element; top: number }[] = []
    for (const row of rows.children) {
      const { top, bottom } = row.getBoundingClientRect()
      if (bottom > edge) visible.push({ row, top })
      if (visible.length === ANCHORS) break
    }
    return visible
  }

  #top(): number {
    return this.#scroller.getBoundingClientRect().top
  }
}
