import type { Person } from './person.js'

/** The page's own timer of a cut, which mends the line after 10 s, in the hand of a test. */
export interface HeldCut {
  holdsCut: boolean
  heldCuts: (() => void)[]
}

/** Runs in the page ahead of it: a cut lasts until `mendCut`, however slow the machine is. */
export function holdCuts(): void {
  const native = window.setTimeout.bind(window)
  const held: HeldCut = { holdsCut: false, heldCuts: [] }
  const page = Object.assign(window as unknown as HeldCut, held)
  const setTimeout = (run: () => void, ms?: number): number => {
    if (!page.holdsCut || ms !== 10_000) return native(run, ms)
    page.heldCuts.push(run)
    return 0
  }
  Object.assign(window, { setTimeout })
}

/** Presses the page's switch. */
export function cutLine({ page }: Person): Promise<void> {
  return page.evaluate(() => {
    const held = window as unknown as HeldCut
    held.holdsCut = true
    document.querySelector<HTMLElement>('[data-testid=cut]')?.click()
    held.holdsCut = false
  })
}

/** The 10 s of the cut are over. */
export function mendCut({ page }: Person): Promise<void> {
  return page.evaluate(() => {
    for (const run of (window as unknown as HeldCut).heldCuts.splice(0)) run()
  })
}
