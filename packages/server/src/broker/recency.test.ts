import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newPlace, Recency } from './recency.js'

const steps = fc.array(
  fc.record({
    list: fc.integer({ min: 0, max: 1 }),
    item: fc.integer({ min: 0, max: 5 }),
    action: fc.constantFrom('touch', 'retire', 'remove'),
  }),
  { maxLength: 100 },
)

test('[L18] gives what was longest unused, like a list that is searched', () => {
  fc.assert(
    fc.property(steps, (actions) => {
      const lists = [new Recency<number>(), new Recency<number>()] as const
      const models: [number[], number[]] = [[], []]
      const places = Array.from({ length: 6 }, (_, item) => newPlace(item))
      for (const { list, item, action } of actions) {
        const place = places[item] ?? newPlace(item)
        const [target, model] = list === 0 ? [lists[0], models[0]] : [lists[1], models[1]]
        if (action !== 'remove' || model.includes(item)) {
          for (const each of models) {
            if (each.includes(item)) each.splice(each.indexOf(item), 1)
          }
        }
        if (action === 'touch') model.push(item)
        if (action === 'retire') model.unshift(item)
        target[action](place)
        expect(lists.map(({ oldest }) => oldest)).toEqual(models.map(([first]) => first ?? null))
      }
      // Emptied one by one, each list gives its whole order.
      for (const [index, list] of lists.entries()) {
        const order: number[] = []
        for (let { oldest } = list; oldest !== null; { oldest } = list) {
          order.push(oldest)
          const place = places[oldest]
          if (place !== undefined) list.remove(place)
        }
        expect(order).toEqual(models[index])
      }
    }),
  )
})
