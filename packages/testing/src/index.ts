export { ALL_FAULTS, NO_FAULTS, type Faults } from './faults.js'
export { describeFinding, hunt, type Finding, type HuntOptions } from './hunt.js'
export { makeOperations, type Operation } from './operations.js'
export { simulate, type SimulateOptions, type World } from './simulate.js'
