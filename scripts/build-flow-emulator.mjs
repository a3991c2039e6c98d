// Builds the Flow emulator of tools/flow-emulator into the user's cache folder, unless it is there
// already, and prints where it is. Run `npm run build` first: the work is done by devnet/flow.
//
//   node scripts/build-flow-emulator.mjs

const { findEmulator } = await import('../dist/devnet/flow/binary.js').catch((error) => {
  console.error(`error: ${error.message}\nRun "npm run build" first.`)
  process.exit(2)
})

try {
  const program = await findEmulator({ log: (line) => console.error(line) })
  console.log(program.join(' '))
} catch (error) {
  console.error(`error: ${error.message}`)
  process.exitCode = 1
}
