import { Command } from 'commander'
import type { Hex } from '../domain/bytes.js'
import { type DeskParts, told } from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'

/** A signing policy that a light client can be started from. */
export interface Checkpoint {
  readonly rewardEpoch: number
  /** Undefined: nobody shows it, or not enough have signed it yet. */
  readonly policy: Hex | undefined
  readonly flareChainId: number
  readonly anchor: Hex
}

type CheckpointParts = Pick<CliParts, 'print'> & Pick<DeskParts, 'readCheckpoint'>

export function checkpointCommand({ print, readCheckpoint }: CheckpointParts): Command {
  return new Command('checkpoint')
    .description('Show a signing policy of Flare, for a deployment to start from')
    .argument('[epoch]', 'its reward epoch; the one in force unless told')
    .option('--json', 'print one JSON object')
    .action(async (text: string | undefined, options: { json?: true }, command: Command) => {
      if (text !== undefined && !/^\d{1,8}$/.test(text)) {
        command.error(`error: "${text}" is no reward epoch`, { exitCode: 2 })
      }
      const epoch = text === undefined ? undefined : Number(text)
      const found = await told(command, () => readCheckpoint(epoch))
      const { rewardEpoch, policy, flareChainId, anchor } = found
      if (policy === undefined) {
        const why = 'Nobody shows it, or not enough have signed it yet. Try the one before.'
        command.error(`error: there is no policy of reward epoch ${rewardEpoch}. ${why}`, {
          exitCode: 2,
        })
      }
      if (options.json) print(toJson({ rewardEpoch, flareChainId, anchor, checkpoint: policy }))
      else print(`reward epoch ${rewardEpoch} of Flare chain ${flareChainId}\n${policy}`)
    })
}
