import { type Answer, detailText, ok, proxyError, Refusal, roleDenied } from './answers.js'
import type { KeyRequest, KeyRoutesParts } from './key-routes.js'
import type { KeyOwner, NamedBudget } from './virtual-keys.js'

type Body = Readonly<Record<string, unknown>>

/** `/user/*` and `/budget/*`, without what a metering reader asks of `/user/info`. */
export function answerOwnerRoute(parts: KeyRoutesParts, asked: KeyRequest): Answer | undefined {
  const { method, url, caller, body = {} } = asked
  const answer = ROUTES[`${method} ${url.pathname}`]
  if (answer === undefined) return undefined
  if (caller.role !== 'proxy_admin') throw new Refusal(roleDenied(url.pathname, caller.role))
  return answer(parts, body, url)
}

const ROUTES: Readonly<Record<string, (parts: KeyRoutesParts, body: Body, url: URL) => Answer>> = {
  'POST /user/new': newUser,
  'POST /user/update': updateUser,
  'GET /user/list': ({ keys }) =>
    ok({ users: [...keys.users.values()], total: keys.users.size, page: 1, page_size: 25 }),
  'POST /budget/new': newBudget,
  'POST /budget/update': updateBudget,
  'POST /budget/info': budgetInfo,
  'POST /budget/delete': deleteBudget,
  'GET /budget/list': ({ keys }) => ok([...keys.budgets.values()]),
}

const NOBODY: Omit<KeyOwner, 'user_id'> = {
  user_role: 'internal_user',
  user_alias: null,
  spend: 0,
  max_budget: null,
  budget_duration: null,
  rpm_limit: null,
  tpm_limit: null,
  models: [],
  metadata: {},
}

function newUser({ keys, random }: KeyRoutesParts, body: Body): Answer {
  const userId = typeof body.user_id === 'string' ? body.user_id : random.uuid()
  if (keys.users.has(userId)) {
    return detailText(409, `User with id ${userId} already exists`)
  }
  const user = { ...NOBODY, ...known(body, NOBODY), user_id: userId }
  keys.users.set(userId, user)
  return ok(user)
}

function updateUser({ keys }: KeyRoutesParts, body: Body): Answer {
  const userId = body.user_id
  if (typeof userId !== 'string') {
    return proxyError(400, 'bad_request_error', 'Either user_id or user_email must be provided')
  }
  // As read in source: an update of a user that is not there makes it.
  const before = keys.users.get(userId) ?? { ...NOBODY, user_id: userId }
  const user = { ...before, ...known(body, NOBODY) }
  keys.users.set(userId, user)
  return ok({ user_id: userId, data: user })
}

const NO_BUDGET: Omit<NamedBudget, 'budget_id'> = {
  max_budget: null,
  soft_budget: null,
  tpm_limit: null,
  rpm_limit: null,
  max_parallel_requests: null,
  budget_duration: null,
}

function newBudget({ keys, random }: KeyRoutesParts, body: Body): Answer {
  const id = typeof body.budget_id === 'string' ? body.budget_id : random.uuid()
  if (keys.budgets.has(id)) {
    return proxyError(400, 'bad_request_error', `Budget with id ${id} already exists`, 'budget_id')
  }
  const budget = { ...NO_BUDGET, ...known(body, NO_BUDGET), budget_id: id }
  keys.budgets.set(id, budget)
  return ok(budget)
}

function updateBudget({ keys }: KeyRoutesParts, body: Body): Answer {
  const before = keys.budgets.get(String(body.budget_id))
  if (before === undefined) return detailText(404, `Budget ${String(body.budget_id)} not found`)
  const budget = { ...before, ...known(body, NO_BUDGET) }
  keys.budgets.set(budget.budget_id, budget)
  return ok(budget)
}

function budgetInfo({ keys }: KeyRoutesParts, body: Body): Answer {
  const wanted = Array.isArray(body.budgets) ? body.budgets.map(String) : []
  if (wanted.length === 0) {
    return proxyError(400, 'bad_request_error', "Specify list of budget id's to query", 'budgets')
  }
  return ok([...keys.budgets.values()].filter(({ budget_id }) => wanted.includes(budget_id)))
}

function deleteBudget({ keys }: KeyRoutesParts, body: Body): Answer {
  const id = String(body.id)
  const budget = keys.budgets.get(id)
  if (budget === undefined) return detailText(404, `Budget ${id} not found`)
  keys.budgets.delete(id)
  return ok(budget)
}

/** Of what was sent, the fields that there are. */
function known<Fields extends object>(body: Body, fields: Fields): Partial<Fields> {
  const sent = Object.keys(fields).filter((name) => name in body)
  return Object.fromEntries(sent.map((name) => [name, body[name]])) as Partial<Fields>
}
