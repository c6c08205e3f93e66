import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Each measures in processes of its own, so that none finds the memory or the caches of another. */
const BENCHES = {
  start: 'the second start until it listens, and idle memory',
  pki: 'validation of paths',
  issuance: 'certificates issued',
  connect: 'full mutual TLS connects and idle memory, beside a bare TLS server and mosquitto',
  telemetry: 'durable messages, beside nats-server with JetStream',
  provisioning: 'registrations at the provisioning service',
  log: 'the telemetry log alone, beside bare SQLite and a plain file',
  'at-rest': 'what encryption at rest costs',
  revoke: 'from a revocation to the last closed session',
  flood: 'devices that reconnect during a handshake flood',
  seal: 'sealed telemetry',
} as const

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !(name in BENCHES))
if (unknown.length > 0 || asked.includes('--help')) {
  console.log('npm run bench -- [NAME …]\n')
  for (const [name, what] of Object.entries(BENCHES)) console.log(`  ${name.padEnd(14)} ${what}`)
  process.exit(unknown.length > 0 && !asked.includes('--help') ? 2 : 0)
}
let failed = 0
for (const [name, what] of Object.entries(BENCHES)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  console.log(`\n${name}: ${what}`)
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url))
  if (spawnSync(process.execPath, ['--conditions=source', file], { stdio: 'inherit' }).status !== 0) failed += 1
}
process.exitCode = failed > 0 ? 1 : 0
