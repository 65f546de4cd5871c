// @ts-check
// The last step of `npm start`: everything is installed and built, the playground runs until it is
// interrupted.
import { startPlayground } from './dist/server/start.js'

await startPlayground()
