import { Command } from 'commander'
import { type CliParts, toJson } from './parts.js'

const SIGNS = { ok: 'ok     ', warning: 'warning', broken: 'BROKEN ' } as const

export function doctorCommand({ examine, print }: Pick<CliParts, 'examine' | 'print'>): Command {
  return new Command('doctor')
    .description('Look at everything the daemon depends on, and say how to mend it')
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: true }, command: Command) => {
      const findings = await examine()
      const broken = findings.filter(({ verdict }) => verdict === 'broken').length
      if (options.json) print(toJson({ ok: broken === 0, findings }))
      else {
        for (const { check, verdict, says, fix } of findings) {
          print(`${SIGNS[verdict]}  ${check}: ${says}`)
          if (fix !== undefined) print(`         fix: ${fix}`)
        }
      }
      if (broken === 0) return
      const things = broken === 1 ? '1 thing is' : `${broken} things are`
      command.error(`error: ${things} broken, see above`, { exitCode: 78 })
    })
}
