const REDACTED = '[redacted]'
/** Shorter ones would cut ordinary words out of the log. */
const SECRET_LENGTH_MIN = 8
/** A part of a path or of a query that is so long is a key, whatever its name. */
const TOKEN_LENGTH_MIN = 20
const TELLING_NAME = /key|token|secret|auth|pass|sig/i

/*
 * Every secret that this process has read, so that whatever leaves it can be cleaned without having
 * been told them. Settings fill it while they are read.
 */
const learned = new Set<string>()
let cut: ((text: string) => string) | undefined

/** Remembers a value that must never be seen, and the keys in it if it is a URL. */
export function learnSecret(value: string): void {
  if (learned.has(value)) return
  learned.add(value)
  cut = undefined
  learnCredentials(value)
}

/** Remembers the keys that URLs in a setting carry; the rest of it may be seen. */
export function learnCredentials(value: string): void {
  for (const one of value.split(/[,\s]+/).flatMap(credentialsOf)) learnSecret(one)
}

/** Takes all that was learned out of a text. */
export function redact(text: string): string {
  cut ??= redactor([...learned])
  return cut(text)
}

/**
 * Cuts every secret out of a text, as it is and as JSON or a URL would write it; without the spaces
 * around it and in any case, since settings are trimmed and keys are written in lower case on the way.
 */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const needles = secrets
    .map((secret) => secret.trim().replace(/^0x/i, ''))
    .filter(({ length }) => length >= SECRET_LENGTH_MIN)
    .flatMap((one) => [one, JSON.stringify(one).slice(1, -1), encodeURIComponent(one)])
  if (needles.length === 0) return (text) => text
  // The longest first: one secret may be a part of another.
  const sorted = [...new Set(needles)].sort((a, b) => b.length - a.length).map(literal)
  const anyOfThem = new RegExp(`(?:0x)?(?:${sorted.join('|')})`, 'gi')
  return (text) => text.replace(anyOfThem, REDACTED)
}

/** URLs as they may be shown: without user, values of the query, and keys in the path. */
export function withoutCredentials(value: string): string {
  if (!value.includes('://')) return value
  const tokens = new RegExp(`/[\\w-]{${TOKEN_LENGTH_MIN},}(?=[/?#,]|$)`, 'g')
  return value
    .replace(/:\/\/[^/@\s,]*@/g, '://…@')
    .replace(/([?&][^=&,]+=)[^&,\s]*/g, '$1…')
    .replace(tokens, '/…')
}

/** Of one URL: password, or user where there is none; keys in the query and in the path. */
function credentialsOf(text: string): string[] {
  if (!text.includes('://') || !URL.canParse(text)) return []
  const { username, password, pathname, searchParams } = new URL(text)
  const isToken = (part: string) => new RegExp(`^[\\w.-]{${TOKEN_LENGTH_MIN},}$`).test(part)
  const inQuery = [...searchParams].flatMap(([name, value]) =>
    TELLING_NAME.test(name) || isToken(value) ? [value] : [],
  )
  const asHeader = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')
  const ofUser = password === '' ? [username] : [password, decoded(password), asHeader]
  return [...ofUser, ...inQuery, ...pathname.split('/').filter(isToken)].filter(Boolean)
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
