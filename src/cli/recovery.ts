import { Command } from 'commander'
import { told } from './desk-parts.js'
import { type OrderOptions, ordered, orderOf } from './ordered.js'
import { type CliParts, toJson } from './parts.js'

type RecoveryParts = Pick<CliParts, 'operations' | 'print'>

/** A copy of the store that another one can be started from. */
export function backupCommand({ operations, print }: RecoveryParts): Command {
  return new Command('backup')
    .description('Copy the store into a file, consistent, while the daemon runs')
    .argument('<file>', 'the copy')
    .option('--replace', 'also where that file is there already')
    .option('--json', 'print one JSON object')
    .action(async (file: string, options: { replace?: true; json?: true }) => {
      const { bytes } = await (await operations()).backup(file, options.replace === true)
      print(options.json ? toJson({ file, bytes }) : `${file}: ${bytes} bytes, checked`)
    })
}

/** For a store that is behind the chains: see docs/recovery.md. */
export function adoptCommand({ operations, print }: RecoveryParts): Command {
  return ordered(new Command('adopt'))
    .description(
      'Take over what both chains have and this store has lost, as after a restored backup',
    )
    .option('--forget-signed', 'although the meter has signed a batch that is not anchored yet')
    .action(async (options: OrderOptions & { forgetSigned?: true }, command: Command) => {
      const order = orderOf(options, command)
      const tools = await operations()
      const adopted = await told(command, () => tools.adopt(order, options.forgetSigned === true))
      if (options.json) return print(toJson(adopted))
      if (adopted.batches === 0) {
        return print(
          'The store has all that Flare has; what the meter signed beyond it is forgotten. Start the daemon.',
        )
      }
      print(
        `${adopted.batches} batches were adopted, up to ${adopted.lastSeq}; they stated ` +
          `${adopted.entries} vaults and periods that this store did not know.`,
      )
      print(
        'Start the daemon: it reads the sources again, and seals once no total is below what Flow holds.',
      )
    })
}

/** After the provider has set another meter: see docs/recovery.md. */
export function rotateMeterCommand({ operations, print }: RecoveryParts): Command {
  return ordered(new Command('rotate-meter'))
    .description('Go on with the key of the settings, which the provider has set as the next meter')
    .action(async (options: OrderOptions, command: Command) => {
      const order = orderOf(options, command)
      const tools = await operations()
      const rotated = await told(command, () => tools.rotateMeter(order))
      if (options.json) return print(toJson(rotated))
      const { from, to, meterEpoch, activeFrom, voided } = rotated
      print(`Meter ${to} follows ${from}; on Flow it is number ${meterEpoch}.`)
      print(
        voided.length === 0
          ? 'Flow had settled all batches of the old one.'
          : `Batches that Flow had not settled are void: ${voided.join(', ')}. The next ones state them again.`,
      )
      print(
        `Start the daemon. Flow takes its batches from ${new Date(activeFrom * 1000).toISOString()} on.`,
      )
    })
}
