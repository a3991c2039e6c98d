import type { Hex } from '../domain/bytes.js'

export interface DeployAllOptions {
  readonly isDry: boolean
  /** The account on Flow that is to hold the contracts; the settings' own unless told. */
  readonly deployer?: string
  /** Signing policies that the light client keeps, with the roots of their rounds. */
  readonly epochsKept: number
}

export interface DeployStep {
  readonly what: string
  readonly at: string
  /** Who signs and pays. */
  readonly by: string
  readonly isThere: boolean
  /** Of what is to be sent. */
  readonly cost?: string
}

export interface DeployReport {
  readonly steps: readonly DeployStep[]
  /** The signing policy that is trusted from the start. */
  readonly checkpoint: Hex
  /** Why it would be refused. */
  readonly problems: readonly string[]
  readonly isDry: boolean
}

export function reportText({ steps, checkpoint, problems, isDry }: DeployReport): string {
  const lines = steps.map(({ what, at, by, isThere, cost }) =>
    isThere ? `  is there    ${what}: ${at}` : `  to be sent  ${what}: ${at}, by ${by}, ${cost}`,
  )
  const policy = `trusted from the start: a signing policy of ${(checkpoint.length - 2) / 2} bytes`
  const wrong = problems.map((problem) => `  PROBLEM: ${problem}`)
  const end = isDry
    ? [...wrong, 'Nothing was sent.']
    : [
        'The addresses are in flowmeter.config.json. Next: flowmeter provider register-models,',
        'plans publish, prices set-feed, prices set; then flowmeter doctor.',
      ]
  return [...lines, policy, ...end].join('\n')
}
