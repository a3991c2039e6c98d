import type { Bell } from './bell.js'

/**
 * Rings a bell now, and once more after a while, for what takes that long to show itself. However
 * often it is asked meanwhile, one ring is under way. Returned: asks; and `stop`, which forgets it.
 */
export function laterRing(bell: Bell, delayMs: number): { ring: () => void; stop: () => void } {
  let timer: NodeJS.Timeout | undefined
  return {
    ring() {
      bell.ring()
      timer ??= setTimeout(() => {
        timer = undefined
        bell.ring()
      }, delayMs)
    },
    stop() {
      clearTimeout(timer)
      timer = undefined
    },
  }
}
