// Preloaded with `node --import`: appends to the file LIST_LOADED every module that the process
// loads, by URL; ECMAScript modules from the loader, CommonJS ones from require's own list.
import { appendFileSync } from 'node:fs'
import { createRequire, register } from 'node:module'
import { pathToFileURL } from 'node:url'

const list = process.env.LIST_LOADED
const hooks = `
  import { appendFileSync } from 'node:fs'
  export async function load(url, context, nextLoad) {
    appendFileSync(${JSON.stringify(list)}, url + '\\n')
    return nextLoad(url, context)
  }`
register(`data:text/javascript,${encodeURIComponent(hooks)}`)
const { cache } = createRequire(import.meta.url)
process.on('exit', () => {
  for (const path of Object.keys(cache)) appendFileSync(list, `${pathToFileURL(path).href}\n`)
})
