// Looks through every tracked file for what must never be in the tree: private keys, tokens, passwords.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** `minEntropy`: bits a character of the first group; words and repeated letters have less than random text. */
const RULES = [
  { name: 'private-key', pattern: /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*([A-Za-z0-9+/=\s]{40,})/g, minEntropy: 3 },
  { name: 'management-token', pattern: /\bholdfast_([A-Za-z0-9_-]{40,})/g, minEntropy: 3.5 },
  { name: 'key-encryption-key', pattern: /\bholdfast-kek-1:([A-Za-z0-9+/]{40,}={0,2})/g, minEntropy: 3.5 },
  { name: 'aws-key', pattern: /\b((?:AKIA|ASIA)[A-Z0-9]{16})\b/g, minEntropy: 3 },
  { name: 'github-token', pattern: /\b((?:gh[opsu]_|github_pat_)[A-Za-z0-9_]{30,})/g, minEntropy: 3.5 },
  { name: 'npm-token', pattern: /\b(npm_[A-Za-z0-9]{36})\b/g, minEntropy: 3.5 },
  { name: 'slack-token', pattern: /\b(xox[abprs]-[A-Za-z0-9-]{20,})/g, minEntropy: 3 },
  { name: 'jwt', pattern: /\b(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})/g, minEntropy: 3.5 },
  { name: 'connection-string', pattern: /SharedAccessKey=([A-Za-z0-9+/]{40,}={0,2})/g, minEntropy: 3.5 },
  { name: 'url-password', pattern: /\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@'"`$]+:([^\s/:@'"`$]{6,})@/g, minEntropy: 2.5 },
  {
    name: 'assigned-secret',
    pattern:
      /(?:secret|passw(?:or)?d|passphrase|token|api_?key|primaryKey|privateKey)['"]?\s*[:=]\s*['"`]([A-Za-z0-9+/_=-]{24,})['"`]/gi,
    minEntropy: 4,
  },
]

/** What a rule finds and may stay, each with its reason. One that nothing needs any more is an error too. */
const ALLOWED = [
  {
    path: 'server/test/provisioning/authenticate-registration.test.ts',
    rule: 'assigned-secret',
    reason: 'a published test vector of a symmetric key, of no real device',
  },
]

const MAX_BYTES = 2 * 1024 * 1024

function entropy(text) {
  const counts = new Map()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}

/** @returns {{ rule: string, line: number }[]} */
export function findSecrets(text) {
  return RULES.flatMap(({ name, pattern, minEntropy }) =>
    [...text.matchAll(pattern)]
      .filter(([, secret = '']) => entropy(secret.replaceAll(/\s/g, '')) >= minEntropy)
      .map(({ index }) => ({ rule: name, line: text.slice(0, index).split('\n').length })),
  )
}

function scanTree() {
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean)
  const used = new Set()
  const problems = []
  for (const path of files) {
    const bytes = readFileSync(join(root, path))
    if (bytes.length > MAX_BYTES || bytes.includes(0)) continue
    for (const { rule, line } of findSecrets(bytes.toString('utf8'))) {
      const allowed = ALLOWED.find((entry) => entry.path === path && entry.rule === rule)
      if (allowed) used.add(allowed)
      else problems.push(`${path}:${line}: ${rule}`)
    }
  }
  for (const entry of ALLOWED)
    if (!used.has(entry))
      problems.push(`${entry.path}: nothing there is a ${entry.rule} any more; drop it from the list`)
  return { files: files.length, problems }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { files, problems } = scanTree()
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  if (problems.length > 0) process.exitCode = 1
  else process.stdout.write(`no secrets in ${files} tracked files\n`)
}
