import type { Page } from 'playwright-core'

/** What is wrong with how a page looks, one sentence each; to be empty. */
export function faultsOfLooks(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    type Color = readonly [red: number, green: number, blue: number, alpha: number]
    const faults: string[] = []

    const colorOf = (text: string): Color => {
      const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number)
      return [red, green, blue, alpha]
    }
    const over = (top: Color, below: Color): Color => {
      const mix = (one: number, other: number): number => one * top[3] + other * (1 - top[3])
      return [mix(top[0], below[0]), mix(top[1], below[1]), mix(top[2], below[2]), 1]
    }
    const groundOf = (element: Element): Color => {
      const layers: Color[] = []
      for (let at: Element | null = element; at !== null; at = at.parentElement) {
        layers.unshift(colorOf(getComputedStyle(at).backgroundColor))
      }
      return layers.reduce((below, top) => over(top, below), [255, 255, 255, 1] as Color)
    }
    const luminance = ([red, green, blue]: Color): number => {
      const [r = 0, g = 0, b = 0] = [red, green, blue].map((part) => {
        const share = part / 255
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const contrast = (one: Color, other: Color): number => {
      const [light = 0, dark = 0] = [luminance(one), luminance(other)].toSorted((a, b) => b - a)
      return (light + 0.05) / (dark + 0.05)
    }
    const isShown = (element: Element): boolean =>
      element.checkVisibility({ visibilityProperty: true }) && element.closest('.hidden') === null
    const nameOf = (element: Element): string =>
      `${element.tagName.toLowerCase()}.${element.className} "${element.textContent?.slice(0, 40)}"`

    // WCAG AA; what cannot be used is exempt.
    const checkContrast = (element: Element, color: Color, what: string): void => {
      const { fontSize, fontWeight } = getComputedStyle(element)
      const size = Number.parseFloat(fontSize)
      const isLarge = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700)
      const ground = groundOf(element)
      const ratio = contrast(over(color, ground), ground)
      if (ratio < (isLarge ? 3 : 4.5)) faults.push(`${what}: contrast ${ratio.toFixed(2)}`)
    }
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
      const element = node.parentElement
      if (element === null || (node.textContent ?? '').trim() === '' || !isShown(element)) continue
      if (element.closest(':disabled') !== null) continue
      checkContrast(element, colorOf(getComputedStyle(element).color), nameOf(element))
    }
    for (const input of document.querySelectorAll('textarea, input')) {
      const { color } = getComputedStyle(input, '::placeholder')
      if (isShown(input)) checkContrast(input, colorOf(color), `placeholder of ${nameOf(input)}`)
    }

    const { scrollWidth } = document.documentElement
    if (scrollWidth > innerWidth) faults.push(`the page is ${scrollWidth} wide in ${innerWidth}`)
    for (const element of document.querySelectorAll('button, h1, .bubble, .banner, .gap, .hint')) {
      if (!isShown(element)) continue
      const { left, right } = element.getBoundingClientRect()
      if (left < 0 || right > innerWidth) faults.push(`${nameOf(element)} sticks out of the page`)
      if (element.scrollWidth > element.clientWidth + 1)
        faults.push(`${nameOf(element)} is cut off`)
    }
    for (const control of document.querySelectorAll('button, input, textarea')) {
      const label = control.getAttribute('aria-label') ?? control.textContent ?? ''
      const labels = (control as HTMLInputElement).labels?.length ?? 0
      if (isShown(control) && label.trim() === '' && labels === 0) {
        faults.push(`${nameOf(control)} has no name`)
      }
    }
    return faults
  })
}
