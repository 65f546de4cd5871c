import type { Drafts } from '../drafts.js'
import type { Words } from '../i18n/words.js'
import type { ChatSession } from '../session/chat-session.js'
import type { AppState } from '../state.js'
import type { Store } from '../store.js'

/** What every view has. */
export interface ViewContext {
  readonly words: Words
  readonly store: Store<AppState>
  readonly session: ChatSession
  readonly drafts: Drafts
  /** ms since the Unix epoch. */
  readonly now: () => number
  readonly switchLanguage: () => void
  readonly openSecondPerson: () => void
  /** Puts the cursor where one writes. */
  readonly focusComposer: () => void
}

/** A part of the page that follows the state. */
export interface View {
  readonly element: HTMLElement
  update(state: AppState): void
}
