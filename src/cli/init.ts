import { Command } from 'commander'
import { NETWORKS, type Network } from '../ports/made-key.js'
import { type CliParts, toJson } from './parts.js'

export interface InitAnswers {
  readonly network: Network
  readonly litellmUrl?: string
  /** Typed by a person; goes into a file of its own. */
  readonly litellmKey?: string
  readonly litellmKeyFile?: string
}

export interface KeyReport {
  readonly setting: string
  readonly use: string
  /** A path, or who sets it. */
  readonly where: string
  /** An address or a public key. */
  readonly public?: string
  readonly next?: string
}

export interface InitDone {
  readonly network: Network
  /** Files that were made or added to. */
  readonly changed: readonly string[]
  readonly keys: readonly KeyReport[]
  /** Settings that only a person can give. */
  readonly missing: readonly string[]
}

export interface InitTools {
  /** What nobody has said yet; the network that is said. */
  said(): { readonly network: string | undefined; readonly url: boolean; readonly key: boolean }
  /** Why LiteLLM cannot be asked at this URL; undefined where it can. */
  problemOfUrl(url: string): string | undefined
  /** @throws ConfigError where a key or a file that is there cannot be used */
  run(answers: InitAnswers): Promise<InitDone>
}

/** A person at a terminal. */
export interface Asker {
  ask(question: string): Promise<string>
  /** What is typed is not shown. */
  askSecret(question: string): Promise<string>
  close(): void
}

interface Options {
  readonly network?: string
  readonly litellmUrl?: string
  readonly litellmKeyFile?: string
  readonly yes?: true
  readonly json?: true
}

type InitParts = Pick<CliParts, 'init' | 'asker' | 'print'>

export function initCommand({ init, asker, print }: InitParts): Command {
  return new Command('init')
    .description('Make keys, .env and flowmeter.config.json; what is there is never changed')
    .option('--network <network>', 'testnet (Coston2 and Flow testnet), mainnet or emulator')
    .option('--litellm-url <url>', 'of the LiteLLM proxy')
    .option('--litellm-key-file <path>', 'a file with a LiteLLM key; never the key itself')
    .option('--yes', 'ask nothing; so it is without a terminal')
    .option('--json', 'print one JSON object, and ask nothing')
    .action(async (options: Options, command: Command) => {
      const tools = await init()
      const person = options.yes || options.json ? undefined : asker()
      try {
        const done = await tools.run(await answersOf(options, tools, person, command))
        print(options.json ? toJson(done) : textOf(done))
      } finally {
        person?.close()
      }
    })
}

async function answersOf(
  options: Options,
  tools: InitTools,
  person: Asker | undefined,
  command: Command,
): Promise<InitAnswers> {
  const { litellmUrl, litellmKeyFile } = options
  const said = tools.said()
  const ask = (question: string, problemOf: ProblemOf) => answerOf(person, question, problemOf)
  const question = 'Network: testnet, mainnet or emulator [testnet] '
  const network =
    options.network ?? said.network ?? (await ask(question, problemOfNetwork)) ?? 'testnet'
  const problem = problemOfNetwork(network)
  if (!isNetwork(network)) command.error(`error: ${problem}`, { exitCode: 2 })
  const problemOf: ProblemOf = (text) =>
    problemOfForm(text) ?? tools.problemOfUrl(text)?.replace(/^/, 'that ')
  const url = litellmUrl ?? (said.url ? undefined : await ask('URL of LiteLLM [later] ', problemOf))
  const urlProblem = url === undefined ? undefined : problemOfForm(url)
  if (urlProblem !== undefined) command.error(`error: ${urlProblem}`, { exitCode: 2 })
  const isKeyAsked = !said.key && litellmKeyFile === undefined
  const typed = isKeyAsked
    ? await person?.askSecret('LiteLLM key of a proxy_admin_viewer, not shown [later] ')
    : undefined
  const key = typed?.trim() || undefined
  return {
    network,
    ...(url === undefined ? {} : { litellmUrl: url }),
    ...(key === undefined ? {} : { litellmKey: key }),
    ...(litellmKeyFile === undefined ? {} : { litellmKeyFile }),
  }
}

type ProblemOf = (answer: string) => string | undefined

/** Somebody who answers wrong so often wants out. */
const ANSWERS_MAX = 5

/** Asks until the answer will do, or is empty; the last one as it is. */
async function answerOf(
  person: Asker | undefined,
  question: string,
  problemOf: ProblemOf,
): Promise<string | undefined> {
  let answer = (await person?.ask(question))?.trim() || undefined
  for (let asked = 1; person !== undefined && asked < ANSWERS_MAX; asked += 1) {
    const problem = answer === undefined ? undefined : problemOf(answer)
    if (problem === undefined) break
    answer = (await person.ask(`${problem}\n${question}`)).trim() || undefined
  }
  return answer
}

function problemOfNetwork(text: string): string | undefined {
  if (isNetwork(text)) return undefined
  return `there is no network "${text}". Use ${NETWORKS.join(', ')}.`
}

function problemOfForm(url: string): string | undefined {
  return /^https?:\/\/\S+$/.test(url) ? undefined : `"${url}" is no URL with http or https`
}

function isNetwork(text: string): text is Network {
  return NETWORKS.some((network) => network === text)
}

function textOf({ network, changed, keys, missing }: InitDone): string {
  const made = keys.map(({ setting, use, where, public: shown }) => {
    const line = `  ${setting}: ${use}\n    ${where}`
    return shown === undefined ? line : `${line}\n    public: ${shown}`
  })
  const steps = [
    ...missing.map(
      (name) =>
        `set ${name}${/_KEY$/.test(name) ? `, or ${name}_FILE to a file with it,` : ''} in .env`,
    ),
    ...keys.flatMap(({ public: shown, next }) => (next === undefined ? [] : `${shown}: ${next}`)),
    'flowmeter deploy --deployer <the new account on Flow> --dry-run, then without --dry-run',
    'flowmeter doctor',
  ]
  const title =
    changed.length > 0 ? `written: ${changed.join(', ')}` : 'nothing was changed: all is there'
  return [
    `${title}`,
    `keys for ${network}, in files that only you can read:`,
    ...made,
    'next:',
    ...steps.map((step, i) => `  ${i + 1}. ${step}`),
  ].join('\n')
}
