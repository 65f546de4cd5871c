import { existsSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { syncDirectory } from '../clean-mark.js'

/** Where a copy grows, and what it is called once it is whole. */
export const growingCopy = (file: string): string => `${file}.salvaging`
const wholeCopy = (file: string): string => `${file}.salvaged`

/**
 * Puts the copy that has grown in the place of the file, which is kept under another name. Whenever
 * that ends early, the next start finds the file, or a copy that is whole, or both.
 */
export function replaceStore(file: string, kept: string): void {
  const folder = dirname(file)
  renameSync(growingCopy(file), wholeCopy(file))
  // A copy is whole on the disk before the file's own name is given up.
  syncDirectory(folder)
  renameSync(file, kept)
  syncDirectory(folder)
  putInPlace(file)
}

/** Ends what an earlier start began. */
export function finishReplacing(file: string): void {
  const whole = wholeCopy(file)
  if (!existsSync(file) && existsSync(whole)) putInPlace(file)
  // Beside the file itself a copy is of no use: it is made anew where it is needed.
  for (const name of [growingCopy(file), whole]) {
    for (const part of [name, `${name}-lock`]) rmSync(part, { force: true })
  }
}

function putInPlace(file: string): void {
  rmSync(`${file}-lock`, { force: true })
  renameSync(wholeCopy(file), file)
  syncDirectory(dirname(file))
}
