const SVG = 'http://www.w3.org/2000/svg'

/** Strokes in a square of 16, drawn for this page. */
const PATHS = {
  clock: ['M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11Z', 'M8 5v3.2l2 1.3'],
  tick: ['m3 8.5 3.2 3.2L13 4.8'],
  ticks: ['m1.5 8.5 3.2 3.2 6.3-6.9', 'm7.6 11.2.5.5L14.5 4.8'],
  alert: ['M8 2.2 14.3 13H1.7L8 2.2Z', 'M8 6.4v3', 'M8 11.3v.1'],
  question: [
    'M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2Z',
    'M6.3 6.4c.1-1 .9-1.6 1.8-1.6 1 0 1.7.6 1.7 1.5 0 1.3-1.7 1.4-1.7 2.7',
    'M8 11.2v.1',
  ],
  close: ['m4 4 8 8', 'm12 4-8 8'],
  menu: ['M2.5 4h11', 'M2.5 8h11', 'M2.5 12h11'],
  panel: ['M2.5 3h11v10h-11Z', 'M9.5 3v10'],
  send: ['M2.5 8 13.5 3l-3.4 10-2.6-4.2L2.5 8Z', 'm7.5 8.8 2.6-2.6'],
  plus: ['M8 3v10', 'M3 8h10'],
  down: ['M8 3v9', 'm4 8.2 4 4 4-4'],
  cut: ['M1.5 8h4', 'M10.5 8h4', 'm6.2 4.6 1 1.6', 'm9.8 11.4-1-1.6', 'm6.2 11.4 3.6-6.8'],
  power: ['M8 2v5.5', 'M4.6 4.4a5 5 0 1 0 6.8 0'],
  person: ['M8 8a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 8Z', 'M2.8 13.6a5.2 5.2 0 0 1 10.4 0'],
  hash: ['M6 2.5 4.8 13.5', 'M11.2 2.5 10 13.5', 'M2.8 5.8h10.8', 'M2.4 10.2h10.8'],
} as const satisfies Record<string, readonly string[]>

export type IconName = keyof typeof PATHS

/** A picture beside words: screen readers pass over it. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 16 16')
  svg.setAttribute('class', `icon icon-${name}`)
  svg.setAttribute('aria-hidden', 'true')
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, 'path')
    path.setAttribute('d', d)
    svg.append(path)
  }
  return svg
}
