import { secondsUntil } from '../format.js'
import { CUT_MS } from '../session/controls.js'
import type { AppState } from '../state.js'
import type { View, ViewContext } from './context.js'
import { button, h, setAttribute, setText } from './dom.js'
import { icon, type IconName } from './icons.js'

interface Switch {
  readonly element: HTMLElement
  readonly button: HTMLButtonElement
  readonly label: HTMLElement
  readonly hint: HTMLElement
}

/** The switches that break things, each with what to watch for. */
export class Switches implements View {
  readonly element: HTMLElement
  readonly #context: ViewContext
  readonly #cut: Switch
  readonly #kill: Switch
  #timer: number | null = null

  constructor(context: ViewContext) {
    this.#context = context
    const { words, session } = context
    this.#cut = this.#switch('cut', 'cut', () => {
      if (context.store.get().cutUntil === null) session.controls.cutLine()
      else session.controls.mendLine()
      this.#letWatch()
    })
    this.#cut.button.setAttribute('role', 'switch')
    this.#cut.button.append(h('span', { class: 'knob', 'aria-hidden': 'true' }))
    setText(this.#cut.label, words.text('experiments.cut'))
    this.#kill = this.#switch('kill', 'power', () => {
      void session.controls.killServer()
      this.#letWatch()
    })
    const second = this.#switch('second', 'person', () => context.openSecondPerson())
    setText(this.#kill.label, words.text('experiments.kill'))
    setText(second.label, words.text('experiments.second'))
    setText(second.hint, words.text('experiments.secondHint'))
    this.element = h(
      'section',
      { class: 'switches' },
      h('h2', { class: 'section-title' }, words.text('experiments.title')),
      second.element,
      this.#cut.element,
      this.#kill.element,
    )
  }

  update(state: AppState): void {
    const isCut = state.cutUntil !== null
    setAttribute(this.#cut.button, 'aria-checked', String(isCut))
    this.#showCutHint(state)
    if (isCut) this.#timer ??= window.setInterval(() => this.#tick(), 250)
    else this.dispose()

    this.#kill.button.disabled = state.canKill !== true || state.kill.state === 'asked'
    setText(this.#kill.hint, this.#killHint(state))
  }

  dispose(): void {
    if (this.#timer !== null) window.clearInterval(this.#timer)
    this.#timer = null
  }

  /** On a phone, the sheet lies over what there is to see. */
  #letWatch(): void {
    this.#context.store.update((state) => ({ ...state, sheet: null }))
  }

  #tick(): void {
    this.#showCutHint(this.#context.store.get())
  }

  #showCutHint({ cutUntil }: AppState): void {
    const { words, now } = this.#context
    const text =
      cutUntil === null
        ? words.text('experiments.cutHint', { seconds: CUT_MS / 1_000 })
        : words.text('experiments.cutOn', { seconds: secondsUntil(cutUntil, now()) })
    setText(this.#cut.hint, text)
  }

  #killHint({ canKill, durable, kill }: AppState): string {
    const { words } = this.#context
    if (canKill === false) return words.text('experiments.killUnavailable')
    if (kill.state === 'asked') return words.text('experiments.killing')
    if (kill.state === 'failed')
      return words.text('experiments.killFailed', { reason: kill.reason })
    return words.text(durable ? 'experiments.killHint' : 'experiments.killHintMemory')
  }

  #switch(name: string, picture: IconName, act: () => void): Switch {
    const label = h('span', { class: 'label' })
    const hint = h('p', { class: 'hint', id: `hint-${name}` })
    const element = button(
      { class: `switch ${name}`, 'data-testid': name, 'aria-describedby': `hint-${name}` },
      act,
      icon(picture),
      label,
    )
    return {
      element: h('div', { class: 'experiment' }, element, hint),
      button: element,
      label,
      hint,
    }
  }
}
