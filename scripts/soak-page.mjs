// @ts-check
// What a soak has found, as a page: its summary, and for each kill how long it was silent and what
// the server held.

/** @typedef {import('../e2e/restart/killing.ts').Life} Life */

const WIDTH = 900
const HEIGHT = 220
const LEFT = 70
const FOOT = 24

/**
 * @param {string} title
 * @param {string} unit
 * @param {readonly number[]} values one for each kill
 */
function chart(title, unit, values) {
  const most = Math.max(1, ...values)
  const x = (/** @type {number} */ place) =>
    LEFT + (place / Math.max(1, values.length - 1)) * (WIDTH - LEFT - 10)
  const y = (/** @type {number} */ value) => HEIGHT - FOOT - (value / most) * (HEIGHT - 2 * FOOT)
  const points = values
    .map((value, place) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`)
    .join(' ')
  const lines = [0, 0.5, 1].map((share) => {
    const at = y(most * share).toFixed(1)
    return `<line x1="${LEFT}" x2="${WIDTH - 10}" y1="${at}" y2="${at}" stroke="#ccc"/><text x="${LEFT - 6}" y="${at}" text-anchor="end" dominant-baseline="middle">${Math.round(most * share)}</text>`
  })
  return `<h2>${title}, ${unit}</h2>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}" font-size="12">
${lines.join('\n')}
<polyline points="${points}" fill="none" stroke="#1f5fbf" stroke-width="1.5"/>
<text x="${WIDTH - 10}" y="${HEIGHT - 4}" text-anchor="end">kill ${values.length}</text>
</svg>`
}

/** @param {string} text */
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** @param {string} summary @param {readonly Life[]} lives @returns {string} */
export function page(summary, lives) {
  const memory = lives.map(({ rssBytes }) => (rssBytes ?? 0) / 1_048_576)
  const silence = lives.map(({ silentMs }) => silentMs)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A server that is killed again and again</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}pre{white-space:pre-wrap}</style>
<h1>A server that is killed again and again</h1>
<pre>${escaped(summary)}</pre>
${chart('From a kill to the next acknowledgement', 'ms', silence)}
${chart('Memory of the server when it was killed', 'MiB', memory)}
</html>
`
}
