import { startServer } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'

/**
 * A server in a process of its own, to be killed, stopped or starved. Argument: its configuration as JSON. Prints one
 * line of JSON when it listens, and ends cleanly at SIGTERM.
 */
const running = await startServer(readConfig(JSON.parse(process.argv[2] ?? '{}')))
const { ports, idScope, rootFile, managementTokenFile } = running
process.once('SIGTERM', () => {
  running.close().then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.stdout.write(`${JSON.stringify({ ports, idScope, rootFile, managementTokenFile })}\n`)
