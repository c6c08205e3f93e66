/** What the validator says of one place in a request. */
interface SchemaError {
  readonly keyword: string
  readonly instancePath: string
  readonly params: Readonly<Record<string, unknown>>
  readonly message?: string
}

/** What is wrong with a request, in a line: where only certain values stand in a place, they are told. */
export function describeInvalid(errors: readonly SchemaError[], part: string): string {
  const places = [...new Set(errors.map(({ instancePath }) => instancePath))]
  return places
    .map((place) => {
      const here = errors.filter(({ instancePath }) => instancePath === place)
      const values = here.flatMap(allowedIn)
      const told = values.length > 0 ? `must be ${listed(values)}` : wordsOf(here)
      return `${part}${place} ${told}`
    })
    .join(', ')
}

function allowedIn({ keyword, params }: SchemaError): readonly unknown[] {
  if (keyword === 'const') return [params['allowedValue']]
  return keyword === 'enum' && Array.isArray(params['allowedValues']) ? params['allowedValues'] : []
}

function listed(values: readonly unknown[]): string {
  const [first, ...others] = [...new Set(values)].map((value) =>
    typeof value === 'string' ? `'${value}'` : String(value),
  )
  return others.length === 0 ? `${first}` : `one of ${[first, ...others].join(', ')}`
}

/** `anyOf` only sums up what its branches say. */
function wordsOf(errors: readonly SchemaError[]): string {
  const words = errors.filter(({ keyword }) => keyword !== 'anyOf').map(({ message }) => message ?? 'is not valid')
  return [...new Set(words)].join(' or ')
}
