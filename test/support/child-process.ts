import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import ts from 'typescript'

const ROOT = resolve(import.meta.dirname, '../..')

/**
 * Modules of the product in a process of their own, which a test can kill. Node runs no TypeScript,
 * so the module and all that it imports are first written out as JavaScript.
 */
export class ChildModules {
  readonly #folder = mkdtempSync(join(tmpdir(), 'flowmeter-child-'))
  readonly #written = new Set<string>()
  readonly #children = new Set<ChildProcess>()

  constructor(entry: string) {
    symlinkSync(join(ROOT, 'node_modules'), join(this.#folder, 'node_modules'))
    writeFileSync(join(this.#folder, 'package.json'), '{"type":"module"}')
    this.#write(resolve(ROOT, entry))
  }

  /** Runs a script that imports from `./src/…`. Ends with the test at the latest. */
  start(code: string): Child {
    const args = ['--input-type=module', '-e', code]
    const process_ = spawn(process.execPath, args, {
      cwd: this.#folder,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#children.add(process_)
    return new Child(process_)
  }

  async remove(): Promise<void> {
    for (const child of this.#children) await new Child(child).kill()
    rmSync(this.#folder, { recursive: true })
  }

  #write(path: string): void {
    if (this.#written.has(path)) return
    this.#written.add(path)
    const { outputText } = ts.transpileModule(readFileSync(path, 'utf8'), {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2022,
        verbatimModuleSyntax: true,
      },
    })
    const target = join(this.#folder, relative(ROOT, path)).replace(/\.ts$/, '.js')
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, outputText)
    for (const [, name = ''] of outputText.matchAll(/from '(\.[^']+)'/g)) {
      this.#write(resolve(dirname(path), name).replace(/\.js$/, '.ts'))
    }
  }
}

export class Child {
  readonly #process: ChildProcess

  constructor(process_: ChildProcess) {
    this.#process = process_
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  /** The first line that it prints. */
  async line(): Promise<string> {
    const { stdout } = this.#process
    if (stdout === null) throw new Error('the child has no output')
    const lines = createInterface({ input: stdout })
    const [line] = await once(lines, 'line')
    lines.close()
    return String(line)
  }

  /** As a power cut would: nothing in it runs any more. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }
}
