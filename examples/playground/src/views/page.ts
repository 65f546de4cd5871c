import { pageAttention } from '../session/attention.js'
import type { AppState } from '../state.js'
import { ChatPane } from './chat-pane.js'
import { ClientFigures } from './client-figures.js'
import { Composer } from './composer.js'
import type { ViewContext } from './context.js'
import { button, h } from './dom.js'
import { icon } from './icons.js'
import { MessageList } from './message-list.js'
import { RoomsPanel } from './rooms-panel.js'
import { ServerFigures } from './server-figures.js'
import { Switches } from './switches.js'

/** Narrower than this, rooms and inspector are sheets over the chat. As in `layout.css`. */
const PHONE = '(max-width: 759px)'
const NARROW = '(max-width: 1119px)'

export type PageContext = Omit<ViewContext, 'focusComposer'>

/** Puts the page into the document; returns the function that takes it out again. */
export function mountPage(root: HTMLElement, base: PageContext): () => void {
  const { store, words } = base
  const attention = pageAttention()
  // What a sheet covers takes no focus before the page has been updated, at the end of this turn.
  const focusComposer = (): void => queueMicrotask(() => composer.focus())
  const context: ViewContext = { ...base, focusComposer }
  const composer: Composer = new Composer(context, {
    onSend: () => list.toLatest(),
    scrollBy: (pages) => list.scrollBy(pages),
    selectNeighbour: (step) => selectNeighbour(base, step),
  })
  const list = new MessageList(context, {
    isPresent: () => attention.isPresent,
    onEdit: (room, id) => {
      const message = base.session.outgoing.take(room, id)
      if (message !== null) composer.prepend(message.text)
    },
  })
  const show = (change: Partial<Pick<AppState, 'sheet' | 'inspectorOpen'>>): void =>
    store.update((state) => ({ ...state, ...change }))
  const toggleInspector = (): void => {
    const { sheet, inspectorOpen } = store.get()
    if (window.matchMedia(NARROW).matches) {
      show({ sheet: sheet === 'inspector' ? null : 'inspector' })
    } else {
      show({ inspectorOpen: !inspectorOpen })
    }
  }
  const chat = new ChatPane(context, {
    list,
    composer,
    openRooms: () => show({ sheet: 'rooms' }),
    toggleInspector,
  })
  const rooms = new RoomsPanel(context)
  const switches = new Switches(context)
  const client = new ClientFigures(context)
  const server = new ServerFigures(context)

  const closeSheet = (): void => {
    show({ sheet: null })
    focusComposer()
  }
  const side = h(
    'aside',
    { class: 'side', 'data-testid': 'side' },
    h(
      'div',
      { class: 'brand' },
      h('strong', {}, words.text('app.title')),
      h('p', {}, words.text('app.description')),
    ),
    closeButton(words.text('inspector.close'), closeSheet, 'only-phone'),
    rooms.element,
    switches.element,
  )
  const inspector = h(
    'aside',
    { class: 'inspector', 'aria-label': words.text('inspector.title'), 'data-testid': 'inspector' },
    h('h2', { class: 'section-title' }, words.text('inspector.title')),
    closeButton(words.text('inspector.close'), () => {
      show({ inspectorOpen: false, sheet: null })
      focusComposer()
    }),
    client.element,
    server.element,
  )
  const backdrop = h('div', { class: 'backdrop', 'aria-hidden': 'true' })
  backdrop.addEventListener('click', closeSheet)
  root.replaceChildren(side, chat.element, inspector, backdrop)

  let shownSheet: AppState['sheet'] = null
  const update = (state: AppState): void => {
    const sheet = sheetFor(state)
    root.dataset['sheet'] = sheet ?? ''
    root.dataset['inspector'] = state.inspectorOpen ? 'open' : 'closed'
    // What a sheet covers can be neither reached by Tab nor read out.
    chat.element.inert = sheet !== null
    side.inert = sheet === 'inspector'
    chat.update(state)
    rooms.update(state)
    switches.update(state)
    client.update(state)
    server.update(state)
    if (sheet !== shownSheet) {
      shownSheet = sheet
      const opened = sheet === 'rooms' ? side : sheet === 'inspector' ? inspector : null
      opened?.querySelector('button')?.focus()
    }
  }
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape' || event.isComposing) return
    if (store.get().sheet !== null) closeSheet()
    else list.toLatest()
  }
  document.addEventListener('keydown', onKey)
  const stops = [store.subscribe(update), attention.watch(() => list.look())]
  update(store.get())
  composer.focus()
  return () => {
    for (const stop of stops) stop()
    document.removeEventListener('keydown', onKey)
    chat.dispose()
    switches.dispose()
  }
}

/** A sheet is only a sheet where there is no room for a column. */
function sheetFor({ sheet }: AppState): AppState['sheet'] {
  if (sheet === 'rooms') return window.matchMedia(PHONE).matches ? sheet : null
  return window.matchMedia(NARROW).matches ? sheet : null
}

function closeButton(label: string, act: () => void, extra: string = ''): HTMLElement {
  return button(
    { class: `icon-button close ${extra}`, title: label, 'data-testid': 'close-panel' },
    act,
    icon('close'),
    h('span', { class: 'hidden' }, label),
  )
}

function selectNeighbour({ store, session }: PageContext, step: 1 | -1): void {
  const { rooms, active } = store.get()
  const at = rooms.findIndex(({ room }) => room === active)
  const next = rooms[(at + step + rooms.length) % rooms.length]
  if (next !== undefined) session.selectRoom(next.room)
}
