import { RetryableError } from '../../domain/errors.js'
import { HttpClient } from '../../runtime/http-client.js'
import { Pace } from '../../runtime/pace.js'

export interface AccessNodesParts {
  /** REST APIs of access nodes of one network, without slashes at the end. At least one. */
  readonly accessNodes: readonly string[]
  readonly requestTimeoutMs: number
  /** Public nodes run 5 scripts a second for one address. No limit unless told. */
  readonly scriptsPerSecond?: number | undefined
}

/** 250 blocks of full settlements; what is larger is no answer of an access node. */
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024

export interface AccessNode {
  readonly http: HttpClient
  /** Waited for before each script. */
  readonly scripts: Pace | undefined
}

/** Several nodes that show one chain. One that answers is enough. */
export class AccessNodes {
  readonly #nodes: readonly AccessNode[]
  /** The one that answered last is asked first. */
  #first = 0

  constructor({ accessNodes, requestTimeoutMs: timeoutMs, scriptsPerSecond }: AccessNodesParts) {
    this.#nodes = accessNodes.map((baseUrl) => ({
      http: new HttpClient({
        ...{ baseUrl, timeoutMs },
        codePrefix: 'settler',
        responseBytesMax: RESPONSE_BYTES_MAX,
      }),
      scripts: scriptsPerSecond === undefined ? undefined : new Pace(scriptsPerSecond),
    }))
  }

  /**
   * The first usable answer.
   *
   * @param isEnough false: another node may know more. The last such answer is taken if none does.
   * @throws RetryableError the first node's, where no node gives a usable answer
   */
  async ask<Answer>(
    question: (node: AccessNode) => Promise<Answer>,
    isEnough: (answer: Answer) => boolean = () => true,
  ): Promise<Answer> {
    let failure: RetryableError | undefined
    let second: { readonly answer: Answer } | undefined
    const start = this.#first
    for (let i = 0; i < this.#nodes.length; i += 1) {
      const place = (start + i) % this.#nodes.length
      try {
        const answer = await question(this.#nodes[place] as AccessNode)
        if (!isEnough(answer)) {
          second = { answer }
          continue
        }
        this.#first = place
        return answer
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error
        failure ??= error
      }
    }
    if (second !== undefined) return second.answer
    throw failure ?? new Error('there is no access node')
  }

  get count(): number {
    return this.#nodes.length
  }

  /** Asks all of them at once; what fails is no answer. */
  async askAll(question: (node: AccessNode) => Promise<void>): Promise<void> {
    await Promise.allSettled(this.#nodes.map(question))
  }
}
