export { virtualRuntime, type VirtualRuntime } from './virtual-runtime.js'
export { seededRandom } from './seeded-random.js'
