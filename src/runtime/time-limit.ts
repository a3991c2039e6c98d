import { setMaxListeners } from 'node:events'

/** Aborted after so long, or with the outer signal. `end` has to be called when the work is over. */
export function timeLimit(
  ms: number,
  outer: AbortSignal | undefined,
): { readonly signal: AbortSignal; readonly end: () => void } {
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  const timer = setTimeout(abort, ms)
  if (outer !== undefined) {
    // Each request under way listens; many at once are no leak.
    setMaxListeners(0, outer)
    outer.addEventListener('abort', abort)
    if (outer.aborted) abort()
  }
  const end = (): void => {
    clearTimeout(timer)
    outer?.removeEventListener('abort', abort)
  }
  return { signal: controller.signal, end }
}
