/*
 * Asking the server. A token is sent in a header, never in an address, so events are read with
 * fetch: EventSource cannot send one.
 */

const KEY = 'flowmeter-token'
const RETRY_MS = [1_000, 2_000, 5_000, 10_000]
/** The server says something every 15 s. */
const SILENT_MS = 40_000

export class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

export function keepToken(token) {
  sessionStorage.setItem(KEY, token)
}

export function forgetToken() {
  sessionStorage.removeItem(KEY)
}

function headers() {
  const token = sessionStorage.getItem(KEY)
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

export async function ask(path) {
  const answer = await fetch(path, { headers: headers() })
  if (answer.ok) return answer.json()
  throw await refusalOf(answer)
}

async function refusalOf(answer) {
  const { message = '' } = await answer.json().catch(() => ({}))
  return new Refused(answer.status, message || `the server answered ${answer.status}`)
}

/** Calls back for each status until it is refused; `onState` hears live, lost, refused. */
export async function listen(onStatus, onState) {
  for (let failures = 0; ; ) {
    const silent = new AbortController()
    let timer
    const heard = () => {
      clearTimeout(timer)
      timer = setTimeout(() => silent.abort(), SILENT_MS)
    }
    try {
      heard()
      const answer = await fetch('/v1/events', { headers: headers(), signal: silent.signal })
      if (!answer.ok) throw await refusalOf(answer)
      onState('live')
      for await (const data of eventsOf(answer.body, heard)) {
        failures = 0
        onStatus(JSON.parse(data))
      }
      onState('lost')
    } catch (error) {
      if (error instanceof Refused && [401, 403, 404].includes(error.status)) {
        onState('refused', error)
        return
      }
      onState('lost')
    } finally {
      clearTimeout(timer)
    }
    const waitMs = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]
    failures += 1
    await new Promise((go) => setTimeout(go, waitMs))
  }
}

/** The data of each event, in order. */
async function* eventsOf(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    heard()
    const blocks = (rest + value).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const lines = block.split('\n').filter((line) => line.startsWith('data: '))
      if (lines.length > 0) yield lines.map((line) => line.slice('data: '.length)).join('\n')
    }
  }
}
