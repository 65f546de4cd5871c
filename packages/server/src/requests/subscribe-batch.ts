import { toWireFailure, type RefusedItem, type SubscribeItem } from '@bmt-central/realtime-protocol'
import type { Connection } from '../hub/connection.js'
import type { RequestContext } from './context.js'
import { reportRefusal } from './refusal.js'
import { join, mayJoin, newPageBudget, type Joined } from './subscribe.js'

/**
 * Subscribes to several topics in one request [W10]: each has its own result, in the order of the
 * request; all share one page; live delivery of each begins behind the one answer. The rules of all
 * are asked side by side.
 */
export async function subscribeBatch(
  context: RequestContext,
  connection: Connection,
  request: {
    readonly items: readonly (SubscribeItem | RefusedItem)[]
    readonly messageId?: string
  },
): Promise<Joined> {
  const budget = newPageBudget(context)
  const allowed = request.items.map((item) => mayJoinItem(context, connection, item))
  const joined: Joined[] = []
  for (const [index, item] of request.items.entries()) {
    try {
      if ('error' in item) throw item.error
      await allowed[index]
      joined.push(await join(context, connection, { item, budget }))
    } catch (error) {
      joined.push(refusalOf(context, connection, { item, error }))
    }
  }
  const messageId =
    request.messageId === undefined ? '' : `,"messageId":${JSON.stringify(request.messageId)}`
  const lastOf = new Map(joined.map(({ topic }, index) => [topic, index]))
  return {
    json: () => {
      const results = joined.map(({ json }) => json())
      return `{"status":"success","results":[${results.join(',')}]${messageId}}`
    },
    settle: () => {
      for (const [index, one] of joined.entries()) one.settle(lastOf.get(one.topic) === index)
    },
  }
}

/** The rights of one entry; its refusal is heard when its turn comes. */
function mayJoinItem(
  context: RequestContext,
  connection: Connection,
  item: SubscribeItem | RefusedItem,
): Promise<void> {
  if ('error' in item) return Promise.resolve()
  const asked = Promise.resolve().then(() => mayJoin(context, connection, item.topic))
  asked.catch(() => undefined)
  return asked
}

function refusalOf(
  context: RequestContext,
  connection: Connection,
  { item, error }: { item: SubscribeItem | RefusedItem; error: unknown },
): Joined {
  const topic = item.topic === undefined ? {} : { topic: item.topic }
  reportRefusal(context, connection, { event: 'subscribe', ...topic, error })
  const json = JSON.stringify({ ...toWireFailure(error, item.messageId), ...topic })
  return { json: () => json, settle: () => undefined }
}
