// @ts-check
// Draws the sequence diagrams of the documentation: `node scripts/diagrams.mjs`. `--check` only compares.
import { readFileSync, writeFileSync } from 'node:fs'

/**
 * A step is an arrow between two lanes, a note at one lane, or (`band`) a remark across all of them.
 * @typedef {{ from: number, to: number, text: string, lost?: boolean } | { at: number, text: string } | { band: string }} Step
 */

/** @type {Record<string, { title: string, lanes: string[], steps: Step[] }>} */
const DIAGRAMS = {
  'publish-life': {
    title: 'The life of one publish',
    lanes: ['application', 'client', 'server', 'broker', 'subscribers'],
    steps: [
      { from: 0, to: 1, text: 'publish(topic, payload)' },
      { at: 1, text: 'an id, made once; queued in the outbox' },
      { band: 'not connected: it waits, in order, at most maxOfflineMs (24 h)' },
      { from: 1, to: 2, text: 'publish { messageId, after }' },
      { at: 2, text: 'rights, rate, schema, onPublish' },
      { from: 2, to: 3, text: 'append' },
      { at: 3, text: 'seq, text and id: one record, committed' },
      { from: 3, to: 2, text: 'durable now' },
      { from: 2, to: 4, text: 'message { epoch, seq }' },
      { from: 2, to: 1, text: 'acknowledgement', lost: true },
      { band: 'the line was cut: nobody on this side knows what became of it' },
      { from: 1, to: 2, text: 'publish { the same messageId }' },
      { from: 2, to: 3, text: 'known?' },
      { from: 3, to: 2, text: 'yes: its first result' },
      { from: 2, to: 1, text: 'acknowledgement, duplicate: true' },
      { from: 1, to: 0, text: 'the promise resolves' },
      { band: 'delivered once: subscribers got nothing of the second one' },
    ],
  },
  'recovery-life': {
    title: 'One recovery',
    lanes: ['listener', 'client', 'server', 'stream'],
    steps: [
      { from: 2, to: 1, text: 'message, seq 41' },
      { from: 1, to: 0, text: 'listener(41)' },
      { band: 'the line is lost; 42, 43 and 44 are published' },
      { at: 3, text: 'retained: 42, 43, 44' },
      { at: 1, text: 'a random pause, a new line' },
      { from: 2, to: 1, text: 'connected' },
      { from: 1, to: 2, text: 'subscribe { since: 41 }' },
      { from: 2, to: 3, text: 'what is after 41?' },
      { from: 2, to: 1, text: '42, 43, more: true' },
      { from: 1, to: 0, text: 'listener(42), listener(43)' },
      { from: 1, to: 2, text: 'subscribe { since: 43 }' },
      { from: 2, to: 1, text: '44, more: false: live from here' },
      { from: 1, to: 0, text: 'listener(44)' },
      { from: 1, to: 0, text: 'subscribed, recovered: true' },
      { from: 2, to: 1, text: 'message, seq 45' },
      { from: 1, to: 0, text: 'listener(45)' },
      { band: 'had 42 gone from the stream: first a gap, recovered: false, then the rest' },
    ],
  },
}

const LANE = 250
const STEP = 44
const TOP = 86

/** @param {string} text */
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
/** @param {number} lane */
const middleOf = (lane) => LANE / 2 + lane * LANE

/** @param {Step} step @param {number} index @param {number} width */
function drawStep(step, index, width) {
  const y = TOP + index * STEP + 24
  if ('band' in step) {
    return `<rect class="band" x="20" y="${y - 20}" width="${width - 40}" height="30" rx="6"/>
<text class="remark" x="${width / 2}" y="${y}">${escape(step.band)}</text>`
  }
  if ('at' in step) {
    const wide = step.text.length * 7.2 + 28
    const left = Math.min(Math.max(8, middleOf(step.at) - wide / 2), width - wide - 8)
    return `<rect class="note" x="${left}" y="${y - 19}" width="${wide}" height="28" rx="6"/>
<text x="${left + wide / 2}" y="${y}">${escape(step.text)}</text>`
  }
  const [start, end] = [middleOf(step.from), middleOf(step.to)]
  const way = Math.sign(end - start)
  const stop = step.lost === true ? (start + end) / 2 : end - way * 3
  const cross = step.lost === true ? `<text class="cross" x="${stop}" y="${y + 12}">✕</text>` : ''
  return `<line class="arrow${step.lost === true ? ' lost' : ''}" x1="${start}" y1="${y + 6}" x2="${stop}" y2="${y + 6}"/>${cross}
<text x="${(start + end) / 2}" y="${y - 2}">${escape(step.text)}</text>`
}

/** @param {{ title: string, lanes: string[], steps: Step[] }} diagram */
function draw({ title, lanes, steps }) {
  const width = lanes.length * LANE
  const height = TOP + steps.length * STEP + 20
  const heads = lanes.map((lane, index) => {
    const x = middleOf(index)
    return `<line class="life" x1="${x}" y1="64" x2="${x}" y2="${height - 12}"/>
<rect class="head" x="${x - 80}" y="30" width="160" height="34" rx="8"/>
<text class="name" x="${x}" y="52">${escape(lane)}</text>`
  })
  const parts = [...heads, ...steps.map((step, index) => drawStep(step, index, width))]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">
<title>${escape(title)}</title>
<style>
svg { background: #fff; font: 14px system-ui, sans-serif }
text { fill: #1c2430; text-anchor: middle; paint-order: stroke; stroke: #fff; stroke-width: 5px }
.head { fill: #2456c8 } .name { fill: #fff; stroke: none; font-weight: 600 }
.life { stroke: #9aa5b5; stroke-dasharray: 3 4 }
.arrow { stroke: #2456c8; stroke-width: 2; marker-end: url(#tip) } .lost { stroke: #c62f3b; stroke-dasharray: 6 4; marker-end: none }
.cross { fill: #c62f3b; font-size: 18px } #tip path { fill: #2456c8 }
.note { fill: #eef2f8; stroke: #9aa5b5 } .band { fill: #fff4d6 }
.note + text, .remark { stroke: none }
@media (prefers-color-scheme: dark) {
svg { background: #12161c } text { fill: #e7ecf3; stroke: #12161c } .name { fill: #fff; stroke: none }
.arrow { stroke: #7ea6ff } #tip path { fill: #7ea6ff } .lost { stroke: #ff7a84 } .cross { fill: #ff7a84 }
.note { fill: #222a36; stroke: #5c6878 } .band { fill: #4a3d14 } .note + text, .remark { stroke: none }
}
</style>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 10 5 0 10z"/></marker></defs>
${parts.join('\n')}
</svg>
`
}

for (const [name, diagram] of Object.entries(DIAGRAMS)) {
  const file = new URL(`../docs/images/${name}.svg`, import.meta.url)
  const drawn = draw(diagram)
  if (!process.argv.includes('--check')) writeFileSync(file, drawn)
  else if (readFileSync(file, 'utf8') !== drawn) {
    console.error(`docs/images/${name}.svg is not as drawn: run node scripts/diagrams.mjs`)
    process.exitCode = 1
  }
}
