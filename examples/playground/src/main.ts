import { pageLine } from './session/page-line.js'
import { Announcer } from './announcer.js'
import { MAX_ROOMS, roomNameOf, STANDARD_ROOMS } from './chat/rooms.js'
import { Drafts, isDraftMap } from './drafts.js'
import { preferredLanguage, wordsOf, type Language, type Words } from './i18n/words.js'
import { PerPerson } from './per-person.js'
import { personOf } from './person.js'
import { ChatSession } from './session/chat-session.js'
import { newRoom, type AppState } from './state.js'
import { isBoolean, isRecord, isString, openStorage, type JsonStorage } from './storage.js'
import { createStore } from './store.js'
import './styles/tokens.css'
import './styles/base.css'
import './styles/layout.css'
import './styles/chat.css'
import './styles/messages.css'
import './styles/panels.css'
import { mountPage } from './views/page.js'
import { roomLabel } from './views/labels.js'

/** Opened with this, a window is somebody new, even where the browser copied another one's storage. */
const NEW_PERSON = '#new'

function start(root: HTMLElement, announcer: Announcer): void {
  const local = openStorage(() => window.localStorage)
  const session = openStorage(() => window.sessionStorage)
  const language = preferredLanguage(local.read('language', isString), navigator.languages)
  const state = firstState(wordsOf(language), local, session)
  const store = createStore<AppState>(state, queueMicrotask)
  const { userId } = state.person
  const drafts = new Drafts(new PerPerson(local, { key: 'drafts', userId, accept: isDraftMap }))
  const shown: { words: Words; unmount: () => void } = {
    words: wordsOf(language),
    unmount: () => undefined,
  }

  const chat = new ChatSession({
    url: window.location.origin,
    store,
    local,
    session,
    line: pageLine,
    onArrival(room, { payload }) {
      if (room !== store.get().active) return
      const { words } = shown
      const values = { name: payload.name, text: payload.text }
      announcer.say(words.text('chat.announce', values), (count) =>
        words.counted('chat.announceMany', count, { room: roomLabel(room, words) }),
      )
    },
  })

  const show = (chosen: Language): void => {
    shown.unmount()
    const words = wordsOf(chosen)
    shown.words = words
    document.documentElement.lang = words.locale
    document.title = words.text('app.title')
    shown.unmount = mountPage(root, {
      words,
      store,
      session: chat,
      drafts,
      now: () => Date.now(),
      switchLanguage() {
        const other = chosen === 'en' ? 'zh' : 'en'
        local.write('language', other)
        show(other)
      },
      openSecondPerson: () => {
        const url = `${window.location.pathname}?room=${encodeURIComponent(store.get().active)}`
        window.open(`${url}${NEW_PERSON}`, '_blank', 'noopener,width=760,height=860')
      },
    })
  }
  show(language)
  let { active } = state
  store.subscribe((next) => {
    if (next.active !== active) {
      active = next.active
      // A reload opens the room that one is in, whichever was asked for at first.
      history.replaceState(null, '', `?room=${encodeURIComponent(active)}`)
    }
    if (next.inspectorOpen !== local.read('inspector', isBoolean)) {
      local.write('inspector', next.inspectorOpen)
    }
  })
  chat.start()
}

function firstState(words: Words, local: JsonStorage, session: JsonStorage): AppState {
  const fresh = window.location.hash === NEW_PERSON
  const person = personOf(session, { words, random: randomShare, fresh })
  if (fresh) history.replaceState(null, '', window.location.pathname + window.location.search)
  const asked = roomNameOf(new URLSearchParams(window.location.search).get('room') ?? '')
  const kept = (session.read('rooms', Array.isArray) ?? []).filter(isString).map(roomNameOf)
  const names = [...STANDARD_ROOMS, ...kept, asked].filter((name) => name !== null)
  const read = (fresh ? null : session.read('read', isRecord)) ?? {}
  const rooms = [...new Set(names)].slice(0, MAX_ROOMS)
  const last = session.read('room', isString)
  const active = [asked, last].find((name) => name !== null && rooms.includes(name))
  return {
    person,
    rooms: rooms.map((room) => newRoom(room, positionOf(read[room]))),
    active: active ?? STANDARD_ROOMS[0],
    connection: {
      status: 'idle',
      attempt: 0,
      retryAt: null,
      failure: null,
      wasConnected: false,
    },
    outbox: [],
    recoveries: [],
    client: null,
    topics: [],
    metrics: null,
    cutUntil: null,
    canKill: null,
    durable: false,
    kill: { state: 'idle', reason: '' },
    looking: false,
    inspectorOpen: local.read('inspector', isBoolean) ?? true,
    sheet: null,
  }
}

function positionOf(value: unknown): { epoch: string; seq: number } | null {
  if (!isRecord(value)) return null
  const { epoch, seq } = value
  return isString(epoch) && typeof seq === 'number' ? { epoch, seq } : null
}

/** Names and ids of two windows must not meet. */
function randomShare(): number {
  const [value = 0] = crypto.getRandomValues(new Uint32Array(1))
  return value / 2 ** 32
}

const root = document.getElementById('app')
const announcer = document.getElementById('announcer')
if (root !== null && announcer !== null) start(root, new Announcer(announcer))
