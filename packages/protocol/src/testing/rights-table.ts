import type { Access, Action, Principal, WireRule } from '../permissions.js'
import type { Params } from '../pattern.js'

/** A function of an application's rule, as the server calls it. */
export type Judge = (request: {
  user: Principal
  topic: string
  params: Params
  action: Action
}) => boolean

/** A rule as an application declares it; what it leaves out is `nobody` [R7]. */
export interface TableRule {
  readonly match: string
  readonly subscribe?: Access | Judge
  readonly publish?: Access | Judge
  readonly admin?: boolean
}

/** The rules as `connected.rules` shows them: functions are `'ask'` [R8]. */
export function wireRules(rules: readonly TableRule[]): WireRule[] {
  const shown = (access: Access | Judge = 'nobody'): Access | 'ask' =>
    typeof access === 'function' ? 'ask' : access
  return rules.map(({ match, subscribe, publish, admin }) => ({
    match,
    subscribe: shown(subscribe),
    publish: shown(publish),
    ...(admin !== undefined && { admin }),
  }))
}

const holds =
  (prefix: string): Judge =>
  ({ user, params }) =>
    user.permissions?.includes(`${prefix}-${params['docId'] ?? ''}`) ?? false

/** The application's rules of the table. */
export const RIGHTS_RULES: readonly TableRule[] = [
  { match: 'chat-room-{room}', subscribe: 'authenticated', publish: 'authenticated' },
  { match: 'a.b:*', subscribe: 'anyone', publish: { permission: 'dots' } },
  { match: 'c++:{name}', subscribe: { role: 'engineer' }, publish: { role: 'engineer' } },
  { match: 'document:{docId}:changes', subscribe: holds('read'), publish: holds('write') },
  { match: 'sealed:*', subscribe: { permission: 'sealed' }, publish: 'nobody', admin: false },
  { match: 'vault:*', subscribe: { role: 'keeper' }, publish: { role: 'keeper' }, admin: false },
  { match: 'announcements', subscribe: 'anyone', publish: 'admin' },
  { match: 'metrics:*', subscribe: 'authenticated', publish: 'nobody' },
  { match: 'half:{id}', subscribe: 'authenticated' },
  { match: 'cafe\u0301:{table}', subscribe: 'authenticated', publish: 'authenticated' },
  { match: 'public:staff:*', subscribe: { role: 'staff' }, publish: { role: 'staff' } },
  { match: 'user:{userId}:shared', subscribe: 'authenticated' },
  { match: 'mail:{box}@home', subscribe: 'authenticated', publish: { role: 'staff' } },
  { match: 'open:*', subscribe: 'anyone', publish: 'anyone' },
]

const plain = (userId: string, role = 'user', permissions: readonly string[] = []): Principal => ({
  userId,
  role,
  permissions,
})

export type RightsUser =
  | 'anonymous'
  | 'alice'
  | 'cyrillicAlice'
  | 'one'
  | 'twelve'
  | 'josé'
  | 'dotted'
  | 'admin'
  | 'capitalAdmin'
  | 'cyrillicAdmin'
  | 'claimsAnonymous'
  | 'member'
  | 'almostMember'
  | 'dots'
  | 'engineer'
  | 'staff'
  | 'keeper'
  | 'sealed'
  | 'reader'
  | 'writer'

/**
 * The users of the table. All but `anonymous` can be had by a token `dev:<userId>:<role>:<permissions>`;
 * `anonymous` is whoever comes without a token, so that the id of a real one differs.
 */
export const RIGHTS_USERS: Readonly<Record<RightsUser, Principal>> = {
  anonymous: plain('anonymous-0', 'anonymous'),
  alice: plain('alice'),
  /** Latin letters but the first, which is Cyrillic. */
  cyrillicAlice: plain('\u0430lice'),
  one: plain('1'),
  twelve: plain('12'),
  josé: plain('jos\u00e9'),
  dotted: plain('a.c'),
  admin: plain('root', 'admin'),
  /** Roles that only look like `admin`. */
  capitalAdmin: plain('eve', 'Admin'),
  cyrillicAdmin: plain('mallory', '\u0430dmin'),
  /** A token that claims the role of users without one. */
  claimsAnonymous: plain('trent', 'anonymous'),
  member: plain('peggy', 'user', ['private_channel_access']),
  almostMember: plain('oscar', 'user', ['private_channel_access2', 'Private_channel_access']),
  dots: plain('dora', 'user', ['dots']),
  engineer: plain('erin', 'engineer'),
  staff: plain('sam', 'staff'),
  keeper: plain('kim', 'keeper'),
  sealed: plain('sybil', 'user', ['sealed']),
  reader: plain('rita', 'user', ['read-7']),
  writer: plain('walt', 'user', ['read-7', 'write-7']),
}

/** What a server must answer, and what a client that knows better than to ask may answer for it. */
export type RightsOutcome = 'allow' | 'permission_denied' | 'invalid_topic'

export interface RightsCase {
  /** The rules of the contract that decide it, as test titles name them: `[R3][R6]`. */
  readonly rules: string
  readonly user: RightsUser
  readonly action: Action
  readonly topic: string
  readonly outcome: RightsOutcome
}

type Row = readonly [
  rules: string,
  user: RightsUser,
  outcome: 'yes' | 'no' | 'bad',
  action: 'sub' | 'pub' | 'both',
  ...topics: string[],
]

const ROWS: readonly Row[] = [
  // R1: public
  ['[R1]', 'alice', 'yes', 'both', 'public:news', 'public:news:today', 'public:x.y+z'],
  ['[R1]', 'anonymous', 'yes', 'sub', 'public:news', 'public:a:b'],
  ['[R1]', 'anonymous', 'no', 'pub', 'public:news'],
  ['[R1]', 'claimsAnonymous', 'yes', 'sub', 'public:news'],
  ['[R1]', 'claimsAnonymous', 'no', 'pub', 'public:news'],
  ['[R1][P8]', 'alice', 'no', 'both', 'public', 'publicx:news', 'Public:news', 'public.news'],
  // Look-alikes: the first has a Cyrillic р, the second a full-width p.
  ['[R1][T1]', 'alice', 'no', 'both', '\u0440ublic:news', '\uff50ublic:news'],
  // R2: private
  ['[R2]', 'member', 'yes', 'both', 'private:deal', 'private:deal:42'],
  ['[R2]', 'alice', 'no', 'both', 'private:deal'],
  ['[R2]', 'almostMember', 'no', 'both', 'private:deal'],
  ['[R2]', 'anonymous', 'no', 'both', 'private:deal'],
  ['[R2][P8]', 'member', 'no', 'both', 'private', 'pr\u0456vate:deal'],
  // R3 and R6: the whole segment
  ['[R3]', 'one', 'yes', 'both', 'user:1', 'user:1:notifications', 'user:1:a:b'],
  ['[R3][R6]', 'one', 'no', 'both', 'user:12', 'user:12:notifications', 'user:1-x', 'user:1-x:y'],
  ['[R3][R6]', 'twelve', 'no', 'both', 'user:1', 'user:1:notifications', 'user:123'],
  ['[R3][R6]', 'twelve', 'yes', 'both', 'user:12', 'user:12:notifications'],
  [
    '[R3][R6]',
    'one',
    'no',
    'both',
    'user:2',
    'users:1',
    'user:01',
    'user:1.0',
    'user',
    'user:\u0661',
  ],
  ['[R3]', 'alice', 'yes', 'both', 'user:alice:inbox'],
  ['[R3][R6][T1]', 'alice', 'no', 'both', 'user:\u0430lice:inbox', 'user:Alice', 'user:alic\u0435'],
  ['[R3][R6][T3]', 'cyrillicAlice', 'no', 'both', 'user:alice', 'user:alice:inbox'],
  ['[R3][R6][T3]', 'cyrillicAlice', 'yes', 'both', 'user:\u0430lice'],
  ['[R3][T1]', 'josé', 'yes', 'both', 'user:jos\u00e9', 'user:jose\u0301:inbox'],
  ['[R3][T1]', 'josé', 'no', 'both', 'user:jose', 'user:jose:inbox'],
  ['[R3][T2]', 'dotted', 'yes', 'both', 'user:a.c'],
  ['[R3][T2]', 'dotted', 'no', 'both', 'user:abc', 'user:axc:inbox'],
  ['[R3]', 'anonymous', 'no', 'both', 'user:1', 'user:anonymous'],
  // R4: system
  ['[R4]', 'alice', 'yes', 'sub', 'system:notifications', 'system:metrics'],
  ['[R4]', 'alice', 'no', 'pub', 'system:notifications'],
  ['[R4]', 'anonymous', 'no', 'both', 'system:notifications'],
  ['[R4]', 'capitalAdmin', 'no', 'pub', 'system:notifications'],
  ['[R4]', 'cyrillicAdmin', 'no', 'pub', 'system:notifications'],
  // R5: admins come before R1 to R4, and get what no rule matches
  [
    '[R5]',
    'admin',
    'yes',
    'both',
    'public:news',
    'private:deal',
    'user:1',
    'user:12:notifications',
  ],
  ['[R5]', 'admin', 'yes', 'both', 'system:notifications', 'nothing:matches:this', 'x'],
  ['[R5][P8]', 'capitalAdmin', 'no', 'both', 'nothing:matches:this', 'private:deal', 'user:1'],
  ['[R5][P8]', 'cyrillicAdmin', 'no', 'both', 'nothing:matches:this', 'private:deal'],
  ['[P8]', 'alice', 'no', 'both', 'nothing:matches:this', 'x', 'documents:7:changes', 'open'],
  ['[P8]', 'anonymous', 'no', 'both', 'nothing:matches:this'],
  // R7: words, roles, permissions, functions
  ['[R7]', 'alice', 'yes', 'both', 'chat-room-1', 'chat-room-1.2', 'chat-room-\u4e2d\u6587'],
  ['[R7][T2]', 'alice', 'no', 'both', 'chat-room-', 'chat-room', 'chat-room-1:x', 'achat-room-1'],
  ['[R7]', 'anonymous', 'no', 'both', 'chat-room-1'],
  ['[R7]', 'claimsAnonymous', 'no', 'both', 'chat-room-1'],
  ['[R7]', 'admin', 'yes', 'both', 'chat-room-1'],
  ['[R7]', 'anonymous', 'yes', 'both', 'open:house', 'open:house:day'],
  ['[R7]', 'anonymous', 'yes', 'sub', 'announcements'],
  ['[R7]', 'anonymous', 'no', 'pub', 'announcements'],
  ['[R7]', 'alice', 'no', 'pub', 'announcements'],
  ['[R7]', 'admin', 'yes', 'pub', 'announcements'],
  ['[R7][T2]', 'alice', 'no', 'both', 'announcements:x', 'announcement', 'xannouncements'],
  ['[R7]', 'alice', 'yes', 'sub', 'metrics:cpu', 'half:1'],
  ['[R7]', 'alice', 'no', 'pub', 'metrics:cpu', 'half:1'],
  ['[R7]', 'admin', 'no', 'pub', 'metrics:cpu', 'half:1', 'sealed:x'],
  ['[R7]', 'sealed', 'yes', 'sub', 'sealed:x'],
  ['[R7]', 'sealed', 'no', 'pub', 'sealed:x'],
  ['[R7]', 'admin', 'no', 'sub', 'sealed:x', 'vault:1'],
  ['[R7]', 'keeper', 'yes', 'both', 'vault:1'],
  ['[R7]', 'alice', 'no', 'both', 'vault:1'],
  ['[R7]', 'reader', 'yes', 'sub', 'document:7:changes'],
  ['[R7]', 'reader', 'no', 'pub', 'document:7:changes'],
  ['[R7]', 'reader', 'no', 'both', 'document:77:changes', 'document:7', 'document:7:changes:x'],
  ['[R7]', 'writer', 'yes', 'both', 'document:7:changes'],
  ['[R7]', 'writer', 'no', 'both', 'document:8:changes'],
  // A function is asked for admins, too: only words, roles and permissions admit them by themselves.
  ['[R7]', 'admin', 'no', 'both', 'document:7:changes'],
  // An application's rule comes before the built-in ones, whatever these say.
  ['[R7][R1]', 'alice', 'no', 'both', 'public:staff:lunch'],
  ['[R7][R1]', 'staff', 'yes', 'both', 'public:staff:lunch', 'public:staff'],
  ['[R7][R3]', 'alice', 'yes', 'sub', 'user:1:shared', 'user:alice:shared'],
  ['[R7][R3]', 'one', 'no', 'pub', 'user:1:shared'],
  // T2: `.` and `+` are letters of a pattern like any other
  ['[T2][R7]', 'anonymous', 'yes', 'sub', 'a.b:1', 'a.b:1:2'],
  ['[T2][R7]', 'alice', 'no', 'both', 'axb:1', 'a-b:1', 'a.b', 'ab:1'],
  ['[T2][R7]', 'dots', 'yes', 'both', 'a.b:1'],
  ['[T2][R7]', 'engineer', 'yes', 'both', 'c++:templates'],
  ['[T2][R7]', 'engineer', 'no', 'both', 'c:templates', 'cc:templates', 'ccc:templates', 'c+:x'],
  ['[T2][R7]', 'alice', 'no', 'both', 'c++:templates'],
  ['[T2][R7]', 'alice', 'yes', 'sub', 'mail:inbox@home', 'mail:a@b@home'],
  ['[T2][R7]', 'alice', 'no', 'sub', 'mail:@home', 'mail:inbox@homes', 'mail:inbox@work'],
  // NFC: rule and topic are compared in one spelling
  ['[T1][T2]', 'alice', 'yes', 'both', 'caf\u00e9:1', 'cafe\u0301:1'],
  ['[T1][T2]', 'alice', 'no', 'both', 'cafe:1', 'caf\u00e8:1'],
  // T1: what is no topic
  ['[T1]', 'alice', 'bad', 'both', '', ':', 'public:', ':public', 'public::news', 'user::1'],
  ['[T1]', 'admin', 'bad', 'both', 'public::news', 'public:new s', 'public:*', 'public:{x}', 'a#b'],
  [
    '[T1]',
    'one',
    'bad',
    'both',
    'user:1:',
    'user:1\u200b',
    'user:1\u0000',
    'user:\ud800',
    'a'.repeat(201),
  ],
]

const OUTCOMES = { yes: 'allow', no: 'permission_denied', bad: 'invalid_topic' } as const
const ACTIONS = { sub: ['subscribe'], pub: ['publish'], both: ['subscribe', 'publish'] } as const

/**
 * Who may do what, case by case: the truth that matcher, server and client are held to. Run it with
 * `RIGHTS_RULES` as the application's rules and anonymous users admitted.
 */
export const RIGHTS_CASES: readonly RightsCase[] = ROWS.flatMap(
  ([rules, user, outcome, actions, ...topics]) =>
    topics.flatMap((topic) =>
      ACTIONS[actions].map((action) => ({
        rules,
        user,
        action,
        topic,
        outcome: OUTCOMES[outcome],
      })),
    ),
)
