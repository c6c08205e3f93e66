// Writes the pages that are made from the code. With --check it writes nothing and fails when a page differs.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configurationPage } from './docs/configuration-page.ts'
import { errorsPage } from './docs/errors-page.ts'

const docs = join(import.meta.dirname, '..', 'docs')
const pages = { 'configuration.md': configurationPage(), 'errors.md': errorsPage() }
const isCheck = process.argv.includes('--check')

for (const [name, text] of Object.entries(pages)) {
  const file = join(docs, name)
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
  if (isCheck) {
    console.error(`docs/${name} is not what the code says: run \`npm run docs\``)
    process.exitCode = 1
  } else {
    writeFileSync(file, text)
    console.log(`docs/${name} written`)
  }
}
