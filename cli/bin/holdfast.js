#!/usr/bin/env node
// Plain JavaScript that any Node from 18 on can run: it finds a Node new enough for Holdfast and hands over to it.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const OLDEST_NODE = 24
const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..')
const built = join(packageRoot, 'dist', 'main.js')
const source = join(packageRoot, 'src', 'main.ts')

// Without a build, or when asked by the flag, the TypeScript source runs as it is; the condition makes the other
// workspaces resolve to their sources too.
const sourceFlag = '--conditions=source'
const hasFlag = process.execArgv.includes(sourceFlag)
const fromSource = hasFlag || !existsSync(built)

const tooOld = Number.parseInt(process.versions.node, 10) < OLDEST_NODE
const lacksFlag = fromSource && !hasFlag

if (!tooOld && !lacksFlag) {
  await import(pathToFileURL(fromSource ? source : built).href)
} else {
  const node = tooOld ? shippedNode() : process.execPath
  if (node === undefined) {
    process.stderr.write(
      `holdfast: Node ${process.versions.node} is too old and the Node that comes with Holdfast is not installed: ` +
        `run \`npm install\` in the clone, or use Node ${OLDEST_NODE} or newer\n`,
    )
    process.exitCode = 1
  } else {
    handOver(node, [...(fromSource ? [sourceFlag] : []), fileURLToPath(import.meta.url), ...process.argv.slice(2)])
  }
}

function shippedNode() {
  const name = `node-linux-${process.arch}`
  try {
    const binary = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin', 'node')
    return existsSync(binary) ? binary : undefined
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}

function handOver(node, args) {
  // A small young generation: an idle server then stays below the 150 MB that it may take.
  const child = spawn(node, ['--max-semi-space-size=4', ...args], { stdio: 'inherit' })
  // The terminal sends SIGINT to the whole foreground group; passing it on again would look like a second Ctrl-C.
  const passedOn = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']
  for (const signal of passedOn) process.on(signal, () => child.kill(signal))
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT')
  })
  child.on('error', (error) => {
    process.stderr.write(`holdfast: cannot start ${node}: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0)
  })
}
