import { trustRules } from '../../pki/src/index.ts'
import { translate } from '../../server/src/amqp/error-conditions.ts'
import { HUB_ERROR_CODES, HubError } from '../../server/src/errors.ts'
import type { HubErrorCode } from '../../server/src/errors.ts'
import type { Failure } from '../../server/src/http/failure.ts'
import { managementFailure } from '../../server/src/http/management/management-failure.ts'
import { armFailure } from '../../server/src/http/resource-manager/arm-failure.ts'
import { hubErrorName, hubFailure } from '../../server/src/http/service/hub-failure.ts'
import { CHAIN_RULE_GUIDE } from '../../server/src/hub/refusals/chain-rule-guide.ts'
import { REFUSAL_GUIDE } from '../../server/src/hub/refusals/refusal-guide.ts'
import type { RefusalAdvice } from '../../server/src/hub/refusals/refusal-guide.ts'
import { REFUSAL_RULES } from '../../server/src/model/refusal.ts'
import { connackCodeOf } from '../../server/src/mqtt/connack-code.ts'
import { provisioningError } from '../../server/src/provisioning/wire-registration.ts'
import { code, generatedFrom, table } from './markdown.ts'

const INTRO = `# Errors

A device that is refused learns little: the code its protocol has for it and, where there is room, a tracking id. The operator
learns everything: the server keeps each refusal with the rule that failed, the certificates that were shown and what to do.

\`\`\`
holdfast refusals                    the latest ones, one line each
holdfast refusals TRACKING-ID        one of them, explained
holdfast refusals --cause RULE       those of one rule
\`\`\`

An unknown device, a wrong credential and a credential of the wrong kind look the same from outside, so that nobody can find
out by trying which devices exist.`

const CHAIN_INTRO = `The certificate path is judged by RFC 5280 §6.1. When several paths are possible, the reason of the one that came
nearest to trust is told. \`holdfast pki verify\` applies the same rules offline.`

const CODES_INTRO = `What can go wrong in the hub is a closed list. Each protocol has its own words for it; SDKs choose their error class by
them. Over MQTT the code is the CONNACK return code of a refused connect; a connection that fails later is closed, since MQTT
3.1.1 has no other answer.`

export function errorsPage(): string {
  return `${[
    generatedFrom('the rules and the error tables in server/src', 'pki/src/trust-error.ts'),
    INTRO,
    '## Why somebody was refused',
    ...REFUSAL_RULES.map((rule) => section(rule, REFUSAL_GUIDE[rule])),
    '## Rules of the certificate path',
    CHAIN_INTRO,
    ...trustRules.map((rule) => section(`chain:${rule}`, CHAIN_RULE_GUIDE[rule])),
    '## Codes, protocol by protocol',
    CODES_INTRO,
    codesTable(),
  ].join('\n\n')}\n`
}

/** GitHub's anchor of such a heading drops the colon: `#chainexpired`. */
function section(rule: string, { meaning, remedy }: RefusalAdvice): string {
  return `### ${rule}\n\n${meaning}\n\n${remedy}`
}

function codesTable(): string {
  const head = [
    'code',
    'MQTT CONNACK',
    'AMQP condition',
    'device and service HTTP',
    'provisioning',
    'resource manager',
    'management HTTP',
  ]
  return table(head, HUB_ERROR_CODES.map(codeRow))
}

function codeRow(name: HubErrorCode): string[] {
  const failure: Failure = { code: name, message: '', trackingId: '', retryAfter: null, status: null }
  const { status, errorCode } = provisioningError(name)
  const arm = armFailure(failure)
  return [
    code(name),
    String(connackCodeOf(new HubError(name, ''))),
    code(translate(name).condition),
    `${hubFailure(failure, 0).status} ${hubErrorName(name)}`,
    `${status}, ${errorCode}`,
    `${arm.status} ${(arm.body as { code: string }).code}`,
    String(managementFailure(failure).status),
  ]
}
