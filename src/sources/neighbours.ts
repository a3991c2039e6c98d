/** What the sources' settings say of each other, whatever their kind. */
interface Neighbour {
  readonly kind: string
  readonly name: string
  readonly apiUrl?: string
  /** Sources that show sums have one: what a sum covers. */
  readonly bucket?: string
}

export interface NeighbourProblem {
  readonly index: number
  readonly field: string
  readonly problem: string
}

/**
 * Usage is billed twice where two sources show the same calls. Of rows the intake finds that out by
 * their ids; sums have none, so a gateway whose sums are read may be no other source as well.
 */
export function problemsAmong(sources: readonly Neighbour[]): NeighbourProblem[] {
  return sources.flatMap((source, index) => {
    const before = sources.slice(0, index)
    const problems: NeighbourProblem[] = []
    if (before.some(({ name }) => name === source.name)) {
      const problem = `"${source.name}" is the name of another source: each needs its own, for ever`
      problems.push({ index, field: 'name', problem })
    }
    const twin = before.find((other) => isCountedTwice(source, other))
    if (twin !== undefined) {
      const problem =
        `source "${twin.name}" reads this gateway too: its sums and its rows show the same usage, ` +
        'which would be billed twice. Keep one of the two'
      problems.push({ index, field: 'apiUrl', problem })
    }
    return problems
  })
}

/** One address is the other, or lies below it: `https://gw` and `https://gw/litellm`. */
function isCountedTwice(one: Neighbour, other: Neighbour): boolean {
  const hasSums = one.bucket !== undefined || other.bucket !== undefined
  if (!hasSums || one.apiUrl === undefined || other.apiUrl === undefined) return false
  const [a, b] = [addressOf(one.apiUrl), addressOf(other.apiUrl)]
  return a.startsWith(b) || b.startsWith(a)
}

/** Host and path: the same gateway may be asked with and without TLS. */
function addressOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname.replace(/\/+$/, '')}/`
}
