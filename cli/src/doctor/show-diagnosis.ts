import type pc from 'picocolors'

/** A dry run as the management API gives it. */
export interface ShownDiagnosis {
  readonly ok: boolean
  readonly summary: string
  readonly steps: readonly ShownStep[]
}

interface ShownStep {
  readonly area: 'chain' | 'hub' | 'provisioning'
  readonly verdict: 'passed' | 'failed' | 'noted'
  readonly message: string
  readonly rule?: string
  readonly remedy?: string
}

type Colors = typeof pc

const TITLES = { chain: 'The chain', hub: 'The hub', provisioning: 'The provisioning service' } as const

export function showDiagnosis({ ok, summary, steps }: ShownDiagnosis, colors: Colors): string {
  const lines: string[] = []
  let area: ShownStep['area'] | null = null
  for (const step of steps) {
    if (step.area !== area) lines.push(...(area === null ? [] : ['']), TITLES[step.area])
    area = step.area
    lines.push(...stepLines(step, colors))
  }
  return [...lines, '', `${ok ? colors.green('✓') : colors.red('✗')} ${summary}`].join('\n')
}

function stepLines({ verdict, message, rule, remedy }: ShownStep, colors: Colors): string[] {
  const mark = { passed: colors.green('✓'), failed: colors.red('✗'), noted: colors.yellow('!') }[verdict]
  const named = rule === undefined ? message : `${colors.yellow(rule)}: ${message}`
  const lines = [`  ${mark} ${named}`]
  if (remedy !== undefined) lines.push(`      what to do: ${remedy}`)
  return lines
}
