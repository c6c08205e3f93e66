import { Command } from 'commander'
import { addServerOptions } from '../../cli/src/start/options.ts'
import { ConfigFile } from '../../server/src/config.ts'
import { code, generatedFrom, table } from './markdown.ts'

/** What this page reads of a JSON schema. */
interface Schema {
  readonly type?: string
  readonly const?: string | number
  readonly description?: string
  readonly default?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
}

/** What `holdfast start` fills in where the schema itself leaves a gap or says otherwise. */
const FILLED_IN: Readonly<Record<string, string>> = {
  hubs: 'one hub, `localhost`',
  'hubs[].name': 'first label of its first host name',
  'provisioning.hosts': 'those of the home hub',
  'log.level': '`"warn"`',
}

const INTRO = `# Configuration

\`holdfast start\` takes its settings from command-line options, from a JSON file given with \`--config\`, or from both: an
option wins over the file. Nothing else is read: no environment variable, no file in a fixed place. Unknown keys and values
out of range stop the start, with a message that names them.

\`\`\`json
{
  "data": "/var/lib/holdfast",
  "hubs": [{ "hosts": ["hub.example.com"] }],
  "provisioning": { "hosts": ["dps.example.com"] },
  "retention": { "hours": 72 }
}
\`\`\`

Paths are relative to the folder that the server was started in. Settings are read once, at the start.`

export function configurationPage(): string {
  const rows = rowsOf('', ConfigFile)
  return (
    [
      generatedFrom('server/src/config.ts', 'cli/src/start/options.ts'),
      INTRO,
      '## The file',
      table(['key', 'type', 'default', 'meaning'], rows),
      '## Options of `holdfast start`',
      table(['option', 'meaning'], optionRows()),
      '`--no-quickstart` and `--quiet` are about what the command does besides: see `holdfast start --help`. With `--host`, the\nfirst hub of the file gets these host names; further hubs come from the file.',
      '',
    ]
      .join('\n\n')
      .trimEnd() + '\n'
  )
}

function rowsOf(prefix: string, schema: Schema): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const key = prefix + name
    const isRequired = schema.required?.includes(name) === true && member.default === undefined
    return [...ownRow(key, member, isRequired), ...nestedRows(key, member)]
  })
}

function ownRow(key: string, schema: Schema, isRequired: boolean): string[][] {
  if (schema.properties && schema.description === undefined) return []
  return [[code(key), typeOf(schema), FILLED_IN[key] ?? defaultOf(schema, isRequired), schema.description ?? '']]
}

function nestedRows(key: string, schema: Schema): string[][] {
  const inner = schema.items?.properties ? schema.items : schema.anyOf?.find((branch) => branch.properties)
  if (inner) return rowsOf(schema.items ? `${key}[].` : `${key}.`, inner)
  return rowsOf(`${key}.`, schema)
}

function defaultOf(schema: Schema, isRequired: boolean): string {
  if (schema.default !== undefined) return code(JSON.stringify(schema.default))
  return isRequired ? 'needed' : ''
}

function typeOf(schema: Schema): string {
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ')
  if (schema.const !== undefined) return code(JSON.stringify(schema.const))
  if (schema.type === 'array') return listOf(schema)
  return `${schema.type ?? ''}${rangeOf(schema)}`
}

function listOf({ items, minItems = 0, maxItems }: Schema): string {
  const kind =
    items === undefined || items.properties ? 'list' : `list of ${typeOf(items).replace(/^string$/, 'strings')}`
  return maxItems === undefined ? kind : `${kind}, ${minItems} to ${maxItems} of them`
}

function rangeOf({ minimum, maximum }: Schema): string {
  if (minimum === undefined) return ''
  return maximum === undefined ? ` from ${minimum}` : `, ${minimum} to ${maximum}`
}

function optionRows(): string[][] {
  const { options } = addServerOptions(new Command(), { logLevel: 'warn' })
  return options.map(({ flags, description, argChoices }) => [
    code(flags),
    argChoices ? `${description}; one of ${argChoices.join(', ')}` : description,
  ])
}
