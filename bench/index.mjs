// npm run bench -- <name> [options]: measures what is promised. Each prints one line of JSON with
// --json, and exits with 1 where a promise is not kept.
const BENCHES = {
  ingest: () => import('./ingest.mjs'),
  vaults: () => import('./vaults.mjs'),
  settle: () => import('../dist/bench/settle/run.js'),
  overload: () => import('../dist/bench/overload/run.js'),
  status: () => import('./status.mjs'),
  prove: () => import('./prove.mjs'),
}

const [name = '', ...options] = process.argv.slice(2)
if (!Object.hasOwn(BENCHES, name)) {
  console.error(`There are: ${Object.keys(BENCHES).join(', ')}. Say npm run bench -- <name>`)
  process.exit(2)
}
const { run } = await BENCHES[name]()
process.exitCode = await run(options)
