/** The part of a window that says whether somebody looks at it. */
export interface Attention {
  /** Calls back when that may have changed; returns the function that stops. */
  watch(listener: () => void): () => void
  readonly isPresent: boolean
}

export function pageAttention(): Attention {
  return {
    get isPresent() {
      return document.visibilityState === 'visible' && document.hasFocus()
    },
    watch(listener) {
      document.addEventListener('visibilitychange', listener)
      window.addEventListener('focus', listener)
      window.addEventListener('blur', listener)
      return () => {
        document.removeEventListener('visibilitychange', listener)
        window.removeEventListener('focus', listener)
        window.removeEventListener('blur', listener)
      }
    },
  }
}
