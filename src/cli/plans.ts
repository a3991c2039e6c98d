import { Command } from 'commander'
import { formatWad } from '../domain/money.js'
import type { PlanDraft } from '../pricing/plan.js'
import { diffPlans, partsOf } from '../pricing/plan-diff.js'
import { tableWith, termsOf, unregisteredModels } from '../pricing/plan-draft.js'
import { planHash } from '../pricing/plan-hash.js'
import { type DeskParts, told, wholeNumber } from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'
import { findPlan, readValid } from './plan-reference.js'
import { quoteCommand } from './plans-quote.js'

export type PlansParts = Pick<CliParts, 'print'> & DeskParts

/** Price plans: looked at, compared, priced, published. */
export function plansCommand(parts: PlansParts): Command {
  const plans = new Command('plans').description('Price plans: files, and what is published')
  plans.addCommand(validateCommand(parts))
  plans.addCommand(publishCommand(parts))
  plans.addCommand(retireCommand(parts))
  plans.addCommand(quoteCommand(parts))
  plans.addCommand(diffCommand(parts))
  return plans
}

function validateCommand({ print, ...parts }: PlansParts): Command {
  return new Command('validate')
    .description('Say whether the contract would take a plan file, and what the plan says')
    .argument('<file>', 'such as plans/default.json')
    .option('--json', 'print one JSON object')
    .action(async (file: string, options: { json?: true }, command: Command) => {
      const plans = await readValid(file, parts, command)
      if (options.json) {
        const all = [...plans].map(([name, draft]) => ({
          name,
          ...hashAlone(draft),
          ...said(draft),
        }))
        print(toJson({ ok: true, plans: all }))
        return
      }
      for (const [name, draft] of plans) {
        const { hash } = hashAlone(draft)
        print(`${name === '' ? file : `${file}#${name}`}: fine`)
        for (const [part, text] of partsOf(draft)) print(`  ${part}: ${text}`)
        print(`  hash, where its models have the ids from 1 on: ${hash}`)
      }
    })
}

function publishCommand({ print, openProviderDesk, ...parts }: PlansParts): Command {
  return new Command('publish')
    .description('Publish a plan with the provider’s own key; one that is there is a success')
    .argument('<plan>', 'a file, or file#name where it has several')
    .option('--register-models', 'first append models that are not in the table yet')
    .option('--dry-run', 'only say what would be done')
    .option('--json', 'print one JSON object')
    .action(async (reference: string, options: PublishOptions, command: Command) => {
      if (/^\d+$/.test(reference)) {
        command.error(`error: plan ${reference} is published already`, { exitCode: 2 })
      }
      const { draft } = await findPlan(reference, { ...parts }, command)
      const { desk, signal } = await openProviderDesk({})
      await told(command, async () => {
        const own = await desk.ownId(signal)
        const table = own === undefined ? [] : await desk.models(own, signal)
        const missing = unregisteredModels(draft, table)
        if (missing.length > 0 && !options.registerModels) {
          const fix = `Add --register-models, or: flowmeter provider register-models ${missing.join(' ')}`
          command.error(`error: models without an id: ${missing.join(', ')}. ${fix}`, {
            exitCode: 2,
          })
        }
        const terms = termsOf(draft, tableWith(table, missing))
        const hash = planHash(terms)
        if (options.dryRun) {
          print(options.json ? toJson({ hash, missing }) : dryRunText(hash, missing))
          return
        }
        if (missing.length > 0) await desk.registerModels(missing, signal)
        const { id, txId } = await desk.publish(terms, hash, signal)
        const isNew = txId !== undefined
        if (options.json) print(toJson({ plan: id, hash, published: isNew, txId }))
        else print(`plan ${id} ${isNew ? 'is published' : 'was published before'}, hash ${hash}`)
      })
    })
}

function retireCommand({ print, openProviderDesk }: PlansParts): Command {
  return new Command('retire')
    .description('Offer a plan no longer, with the provider’s own key; vaults on it keep it')
    .argument('<plan>', 'the id of a published plan')
    .option('--json', 'print one JSON object')
    .action(async (text: string, options: { json?: true }, command: Command) => {
      const plan = wholeNumber(text, command)
      const { desk, signal } = await openProviderDesk({})
      const { txId } = await told(command, () => desk.retirePlan(plan, signal))
      const isNew = txId !== undefined
      if (options.json) print(toJson({ plan, sent: isNew, txId }))
      else print(`plan ${plan} ${isNew ? 'is retired' : 'was retired before'}`)
    })
}

interface PublishOptions {
  readonly registerModels?: true
  readonly dryRun?: true
  readonly json?: true
}

function diffCommand({ print, ...parts }: PlansParts): Command {
  return new Command('diff')
    .description('Show what is other in the second plan')
    .argument('<before>', 'a file, file#name, or the id of a published plan')
    .argument('<after>', 'the same')
    .option('--json', 'print one JSON object')
    .action(async (before: string, after: string, options: { json?: true }, command: Command) => {
      const old = await findPlan(before, parts, command)
      const now = await findPlan(after, parts, command)
      const changes = diffPlans(old.draft, now.draft)
      if (options.json) print(toJson({ same: changes.length === 0, changes }))
      else if (changes.length === 0) print('They say the same.')
      for (const change of options.json ? [] : changes) {
        const { part, before, after } = change
        print(`${part}: ${before === '' ? '(none)' : before} -> ${after === '' ? '(none)' : after}`)
      }
    })
}

/** As published by a provider whose table begins with the plan's models. */
function hashAlone(draft: PlanDraft) {
  return { hash: planHash(termsOf(draft, tableWith([], draft.namedRates.keys()))) }
}

function said(draft: PlanDraft) {
  const { tiers, minimum, fee } = draft
  return {
    models: [...draft.namedRates.keys()],
    tiers: tiers.length,
    minimum: formatWad(minimum),
    fee: formatWad(fee),
    parts: Object.fromEntries(partsOf(draft)),
  }
}

function dryRunText(hash: string, missing: readonly string[]): string {
  const models = missing.length === 0 ? 'none' : missing.join(', ')
  return `models to register: ${models}\nhash to publish: ${hash}\nNothing was sent.`
}
