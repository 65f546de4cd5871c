export { virtualRuntime, type VirtualRuntime } from './virtual-runtime.js'
export { seededRandom } from './seeded-random.js'
export {
  RIGHTS_CASES,
  RIGHTS_RULES,
  RIGHTS_USERS,
  wireRules,
  type Judge,
  type RightsCase,
  type RightsOutcome,
  type RightsUser,
  type TableRule,
} from './rights-table.js'
export { referenceOutcome } from './rights-reference.js'
export { rightsWorld, type RightsRequest, type RightsWorld } from './rights-world.js'
