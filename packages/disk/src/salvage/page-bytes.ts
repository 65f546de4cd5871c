import { headerOf, HEADER_BYTES } from '../inspect/format.js'
import type { PageFile } from '../inspect/page-file.js'

/** What the library takes, that of the machine first; whatever the head pages say, they may be damaged. */
const SIZES = [4_096, 16_384, 65_536, 8_192, 32_768, 2_048, 1_024, 512]
/** Pages that are asked. */
const LOOKED_AT = 1_000

/** How large the pages of a file are: most of them say their own number where they begin. */
export function guessPageBytes(file: PageFile): number {
  let best = { pageBytes: SIZES[0] ?? 4_096, fitting: 0 }
  for (const pageBytes of SIZES) {
    const pages = Math.floor(file.sizeBytes / pageBytes)
    const step = Math.max(1, Math.floor(pages / LOOKED_AT))
    let fitting = 0
    for (let number = 1; number < pages; number += step) {
      const header = file.read(number * pageBytes, HEADER_BYTES)
      if (header.length === HEADER_BYTES && headerOf(header).number === number) fitting += 1
    }
    if (fitting > best.fitting) best = { pageBytes, fitting }
  }
  return best.pageBytes
}
