import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, test } from 'node:test'
import { PageShell } from './page-shell.ts'
import { allPages, readPage, shellBlocks } from './pages.ts'

const SERVER_PORTS = [443, 5671, 8883]

describe('every command of the guides does what a reader expects', { concurrency: 2 }, () => {
  const pages = allPages().filter((path) => path.startsWith('docs/guides/') || path === 'docs/quickstart.md')
  for (const [index, path] of pages.entries()) {
    const blocks = shellBlocks(readPage(path))
    // An address for each page, so that each has the standard ports, which SDKs cannot be told to change.
    const loopback = `127.71.${process.pid % 250}.${index + 1}`
    test(path, { timeout: 240_000 }, async (t) => {
      const needsPorts = blocks.some(({ how }) => how === 'background')
      const missing = needsPorts ? await missingPort(loopback) : null
      if (missing !== null) return t.skip(missing)
      const shell = new PageShell(loopback)
      let codes: (number | null)[] = []
      try {
        for (const block of blocks) {
          if (block.how === 'skip') continue
          const run = block.how === 'background' ? shell.start(block.text) : shell.run(block.text)
          await run.catch((error: Error) => assert.fail(`${path}:${block.line}\n${block.text}\n${error.message}`))
        }
      } finally {
        codes = await shell.close()
      }
      assert.ok(
        codes.every((code) => code === 0),
        `a server ended with ${codes.join(', ')}`,
      )
    })
  }
})

/** Why one of the standard ports cannot be had, or null. */
async function missingPort(address: string): Promise<string | null> {
  for (const port of SERVER_PORTS) {
    const server = createServer()
    const { promise, resolve } = Promise.withResolvers<string | null>()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen(port, address, () => server.close(() => resolve(null)))
    const problem = await promise
    if (problem !== null) return `port ${port} of ${address} cannot be had here (${problem})`
  }
  return null
}
