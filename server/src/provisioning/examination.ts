import { failed, noted, passed } from '../hub/refusals/diagnosis.ts'
import type { Step } from '../hub/refusals/diagnosis.ts'
import { finding } from '../hub/findings/finding.ts'
import type { Decision } from './decide.ts'
import type { Rehearsal } from './rehearsal.ts'

/** What a rehearsed registration came to, for a person. `told`: the steps about the same chain at the hub. */
export function registrationSteps(rehearsal: Rehearsal, registrationId: string): Step[] {
  if (rehearsal.kind === 'rejection') return [failed('provisioning', rehearsal.found)]
  const { kind, id } = rehearsal.enrollment
  const which = kind === 'group' ? `the enrollment group '${id}'` : `the individual enrollment '${id}'`
  const decides = passed('provisioning', `'${registrationId}' proves itself, and ${which} decides`)
  if (rehearsal.kind === 'webhook')
    return [decides, noted('provisioning', `the hub is chosen by the webhook ${rehearsal.url}, which was not asked`)]
  return [decides, decisionStep(rehearsal.decision)]
}

function decisionStep(decision: Decision): Step {
  if (decision.kind === 'refuse') {
    const rule = decision.reason === 'allocation-failed' ? 'allocation-failed' : 'attestation-mismatch'
    return failed('provisioning', finding(rule, `${decision.message}.`))
  }
  const { hub, deviceId } = decision.place
  const at = `hub '${hub}' as device '${deviceId}'`
  const outcome: Record<typeof decision.kind, string> = {
    keep: `it stays at ${at}, with this certificate from then on`,
    assign: `it is assigned to ${at}`,
    migrate: `it moves to ${at} and takes its twin along`,
    reset: `it is assigned to ${at} with its initial twin`,
  }
  return passed('provisioning', `the answer is "assigned": ${outcome[decision.kind]}`)
}
