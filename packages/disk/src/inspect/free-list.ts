import { HEADER_BYTES, numberAt, type Snapshot } from './format.js'
import type { LeafNode } from './nodes.js'
import type { PageFile } from './page-file.js'
import { MARK, type PageMarks } from './tree.js'

const WORD_BYTES = 8

/**
 * The records of the free list: `MDB_IDL` in the form of this library (`mdb_midl_xmerge`). The first
 * word says how many follow; then a page number, or minus the length of a run and its first page, or
 * 0 for a place that is not used.
 */
export class FreeList {
  readonly #file: PageFile
  readonly #snapshot: Snapshot
  readonly #runs: { readonly page: number; readonly pages: number }[] = []

  constructor(file: PageFile, snapshot: Snapshot) {
    this.#file = file
    this.#snapshot = snapshot
  }

  /** Reads the records of a leaf page. Says what is wrong, or null. */
  read(page: Buffer, nodes: readonly LeafNode[]): string | null {
    for (const node of nodes) {
      const transaction = numberAt(page, node.keyAt)
      if (transaction < 1 || transaction > this.#snapshot.transaction) {
        return `the free list has a transaction ${transaction}`
      }
      const wrong = this.#readRecord(this.#valueOf(page, node))
      if (wrong !== null) return wrong
    }
    return null
  }

  /** Marks what is free, once everything else is marked. Says what is wrong, or null. */
  mark(marks: PageMarks): string | null {
    for (const { page, pages } of this.#runs) {
      for (let number = page; number < page + pages; number += 1) {
        if (marks[number] === MARK.reached) return `page ${number} is free and in use`
        if (marks[number] === MARK.free) return `page ${number} is free twice`
        marks[number] = MARK.free
      }
    }
    return null
  }

  #valueOf(page: Buffer, { valueAt, valueBytes, overflow }: LeafNode): Buffer {
    if (overflow === null) return page.subarray(valueAt, valueAt + valueBytes)
    return this.#file.read(overflow.page * this.#snapshot.pageBytes + HEADER_BYTES, valueBytes)
  }

  #readRecord(value: Buffer): string | null {
    const words = Math.floor(value.length / WORD_BYTES)
    if (words < 1) return 'the free list has a record without a length'
    const count = numberAt(value, 0)
    if (count > words - 1) return `the free list has ${count} words in ${value.length} bytes`
    for (let index = 1; index <= count; index += 1) {
      const word = Number(value.readBigInt64LE(index * WORD_BYTES))
      if (word === 0) continue
      const pages = word < 0 ? -word : 1
      if (word < 0) index += 1
      if (index > count) return 'the free list has a run without a page'
      const page = word < 0 ? numberAt(value, index * WORD_BYTES) : word
      if (page < 2 || page + pages - 1 > this.#snapshot.lastPage) {
        return `the free list has ${pages} pages from ${page} on`
      }
      this.#runs.push({ page, pages })
    }
    return null
  }
}
