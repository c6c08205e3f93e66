import type { REFUSAL_RULES, RefusalRule } from '../../model/refusal.ts'
import { CHAIN_RULE_GUIDE } from './chain-rule-guide.ts'

export interface RefusalAdvice {
  /** What the rule means, one sentence. */
  readonly meaning: string
  /** What the operator does about it, one or two sentences. */
  readonly remedy: string
}

/** What each rule means and what to do. `holdfast refusals` and docs/errors.md show these words. */
export const REFUSAL_GUIDE = {
  'tls-handshake-failed': {
    meaning: 'The TLS handshake did not complete.',
    remedy:
      'Check that the client speaks TLS 1.2 or newer, trusts the root of the server certificate, and holds the private key of the certificate it shows.',
  },
  'tls-not-spoken': {
    meaning: 'What the client sent to a TLS port is not TLS.',
    remedy: 'Switch TLS on in the client, or correct the port: 8883 for MQTT, 443 for HTTPS, 5671 for AMQP.',
  },
  'tls-version-unsupported': {
    meaning: 'The client offers no version of TLS that the server speaks.',
    remedy: 'Let the client use TLS 1.2 or 1.3; older versions are broken (RFC 8996).',
  },
  'tls-cipher-mismatch': {
    meaning: 'The client offers no cipher suite or key exchange group that the server accepts.',
    remedy: 'Allow an ECDHE suite with AES-GCM or ChaCha20-Poly1305 in the client, and the group X25519 or P-256.',
  },
  'server-certificate-refused': {
    meaning: 'The client does not trust the certificate of this server.',
    remedy:
      'Give the client the root that signed the server certificate, and connect by a host name that the certificate carries.',
  },
  'protocol-violation': {
    meaning: 'The bytes received are not what the protocol allows.',
    remedy: 'Check that the client speaks the protocol of this port, in a version that the server supports.',
  },
  'connect-timeout': {
    meaning: 'The peer opened a connection and did not say who it is in time.',
    remedy: 'Check the network between client and server; a port scanner shows the same picture.',
  },
  'hub-name-unknown': {
    meaning: 'The host name that the client gave belongs to no hub of this server.',
    remedy: "Use one of the hub's host names in the connection string, or add the name to the hub's hosts.",
  },
  'client-id-mismatch': {
    meaning: 'The MQTT client id and the id in the user name differ.',
    remedy: 'Send the device id, with equal case, both as client id and in the user name.',
  },
  'device-id-invalid': {
    meaning: 'The device id has characters or a length that no device id may have.',
    remedy: "Use 1 to 128 of A-Z a-z 0-9 and - : . + % _ # * ? ! ( ) , = @ ; $ ' and send it unencoded.",
  },
  'device-unknown': {
    meaning: 'The hub has no such device.',
    remedy: 'Provision or create the device, or correct its id: case matters.',
  },
  'device-disabled': {
    meaning: 'The device proved itself, but it is disabled.',
    remedy: 'Enable the device in the registry if it may connect again.',
  },
  'device-quarantined': {
    meaning: 'The device proved itself, but two holders of its identity were connected at once: it is in quarantine.',
    remedy:
      'Look at the evidence with `holdfast alarms`, revoke the credential that leaked, and let the device in again with `holdfast device release`.',
  },
  'identity-in-use': {
    meaning: 'The device proved itself, but its identity has a live session and its policy lets no second one in.',
    remedy:
      'If the older session is gone it ends within seconds, and a retry gets in. If it lives, somebody else holds the credential: see `holdfast alarms`.',
  },
  'credential-missing': {
    meaning: 'The device showed neither a token nor a certificate.',
    remedy: 'Give the device its key or its certificate.',
  },
  'credential-kind-mismatch': {
    meaning: 'The device showed another kind of credential than the one its identity is set up for.',
    remedy: "Connect with the credential the identity expects, or change the identity's authentication type.",
  },
  'client-certificate-missing': {
    meaning: 'The identity authenticates by certificate and the client sent none.',
    remedy: 'Configure certificate and private key in the client; a proxy that ends TLS on the way removes them.',
  },
  'common-name-mismatch': {
    meaning: "The common name of the device's certificate is not the id it claims.",
    remedy: 'Issue the device a certificate whose common name equals its id, case included.',
  },
  'common-name-not-single': {
    meaning: "The device's certificate has no common name, or more than one.",
    remedy: 'Issue the device a certificate with exactly one common name: its id.',
  },
  'certificate-expired': {
    meaning: "The device's self-signed certificate has expired.",
    remedy: 'Make a new certificate and set its thumbprint as the secondary one before the old one ends.',
  },
  'certificate-not-yet-valid': {
    meaning: "The device's self-signed certificate is not valid yet.",
    remedy: 'Check the clocks of the machine that made the certificate and of this server.',
  },
  'thumbprint-mismatch': {
    meaning: "The certificate's digest is neither the primary nor the secondary thumbprint of the identity.",
    remedy:
      "Set the thumbprint of the certificate that the device uses, or give the device the registered one's files.",
  },
  'authority-unverified': {
    meaning: 'The chain leads to a registered CA whose possession was never proven.',
    remedy: 'Prove possession of the CA: generate a verification code, sign it with the CA, and verify.',
  },
  'authority-of-another-hub': {
    meaning: 'The chain leads to a CA that is verified at another hub of this server only.',
    remedy: 'Connect the device to the hub its CA belongs to, or register the CA at this hub and prove possession.',
  },
  'token-malformed': {
    meaning: 'The text is not a shared access signature.',
    remedy: 'Send `SharedAccessSignature sr=…&sig=…&se=…`, each value percent-encoded, each part once.',
  },
  'token-expired': {
    meaning: "The token's expiry has passed.",
    remedy: 'Make a new token; when it is fresh, check the clock of the machine that made it.',
  },
  'token-signature-wrong': {
    meaning: "The token's signature was made with neither the primary nor the secondary key.",
    remedy: 'Use the present primary or secondary key of the device or policy; keys may have been regenerated.',
  },
  'token-resource-mismatch': {
    meaning: 'The token was made for another resource than the one it is used at.',
    remedy: "Make the token for this hub's host name and, for a device, /devices/ and its id with equal case.",
  },
  'token-policy-unknown': {
    meaning: 'There is no shared access policy of the name in the token.',
    remedy: 'Correct the policy name (skn) in the connection string.',
  },
  'token-right-missing': {
    meaning: 'The policy of the token does not carry the right that the operation needs.',
    remedy: 'Use a policy that carries the right.',
  },
  'token-missing': {
    meaning: 'The operation needs a shared access signature and none came.',
    remedy: 'Send the token in the Authorization header, or put it by the claims-based security link.',
  },
  'scope-unknown': {
    meaning: 'The id scope is not the one of this provisioning service.',
    remedy: "Give the device this service's id scope.",
  },
  'enrollment-unknown': {
    meaning: 'No individual enrollment has this registration id, and no enrollment group matches its credential.',
    remedy: 'Enroll the device, or a group whose CA signed its certificate.',
  },
  'enrollment-disabled': {
    meaning: 'The enrollment that decides about this device is disabled.',
    remedy: 'Enable the enrollment if the device may register.',
  },
  'enrollment-deleted': {
    meaning: 'The enrollment by which the provisioning service put the device into the hub was deleted.',
    remedy: 'Enroll the device again and let it register, or create its identity in the hub by hand.',
  },
  'enrollment-credential-replaced': {
    meaning:
      'The enrollment that put the device into the hub holds another certificate, CA or key by now than the one that let it in.',
    remedy:
      'Let the device register with the provisioning service again, with the credential that the enrollment holds now.',
  },
  'device-revoked': {
    meaning: 'An operator revoked the device: its identity and every certificate that it was seen with.',
    remedy: 'If it may come back, delete the identity and make it anew, with a new key and a new certificate.',
  },
  'authority-removed': {
    meaning: 'The CA that vouched for the device when it was provisioned is not registered and proven any more.',
    remedy: 'Register the CA again and prove possession, or let the device register with a certificate of another CA.',
  },
  'registration-id-mismatch': {
    meaning: "The common name of the device's certificate is not its registration id.",
    remedy: 'Use the common name of the certificate as registration id, or issue a fitting certificate.',
  },
  'attestation-mismatch': {
    meaning: 'The device proved itself by another means than its enrollment asks for.',
    remedy: 'Use the certificate or key that the enrollment holds, or correct the enrollment.',
  },
  'allocation-failed': {
    meaning: 'No hub could be found for the device.',
    remedy: 'Check the allocation policy and the linked hubs of the enrollment, and the webhook if it names one.',
  },
  'request-malformed': {
    meaning: 'The request or message could not be taken as it is.',
    remedy: 'Correct the part that the message names; the API description and the protocol say how it must look.',
  },
  'request-too-large': {
    meaning: 'The request is larger than its limit.',
    remedy: 'Send less: 256 KiB for a message, 96 KiB for a registration.',
  },
  'possession-refused': {
    meaning: "The verification certificate does not prove possession of the CA's private key.",
    remedy: 'Generate a verification code and sign a certificate whose common name is the code with the CA itself.',
  },
  'authority-refused': {
    meaning: 'The certificate cannot be registered as a CA.',
    remedy: 'Register a valid certificate of a CA, with a P-256 or RSA-2048 key or a stronger one.',
  },
  'message-not-sealed': {
    meaning: 'The device must seal its messages, and this one is not sealed.',
    remedy: "Let the device seal what it sends, or switch its 'sealed' to off.",
  },
  'message-seal-malformed': {
    meaning: 'The message is sealed, but not in the form or by an algorithm that is understood.',
    remedy: 'Compare it with the test vectors in docs/reference/sealed-telemetry.md, byte by byte.',
  },
  'message-signer-unknown': {
    meaning:
      "The message names its signer's certificate by a thumbprint that is not the one of the session or of x5chain.",
    remedy: 'Connect with the certificate that signs, or send the chain in each message.',
  },
  'message-of-another-device': {
    meaning: 'The message is sealed in the name of another device than the one that sent it.',
    remedy: 'Seal with the id and the certificate of the device itself; a gateway cannot send for others.',
  },
  'message-replayed': {
    meaning: 'The counter of the sealed message is not above those that were accepted before.',
    remedy:
      'Let the device keep its counter over restarts. A message that came from elsewhere was recorded and replayed.',
  },
  'message-signature-wrong': {
    meaning: "The signature of the sealed message is not that of the certificate's key.",
    remedy: 'The message was changed after it was signed, or signed with another key.',
  },
  throttled: {
    meaning: 'Too many attempts in too short a time.',
    remedy: 'Let the client wait and retry with growing delays.',
  },
} as const satisfies Record<(typeof REFUSAL_RULES)[number], RefusalAdvice>

/** For what is stored and was recorded by a release that knew other rules. */
const UNKNOWN_RULE: RefusalAdvice = {
  meaning: 'The certificate path breaks a rule of RFC 5280.',
  remedy: 'Inspect the chain with `holdfast pki verify`, which names the certificate and the rule.',
}

const ADVICE: ReadonlyMap<string, RefusalAdvice> = new Map<string, RefusalAdvice>([
  ...Object.entries(REFUSAL_GUIDE),
  ...Object.entries(CHAIN_RULE_GUIDE).map(([rule, advice]) => [`chain:${rule}`, advice] as const),
])

export function isRefusalRule(text: string): text is RefusalRule {
  return ADVICE.has(text)
}

export function adviceFor(rule: RefusalRule): RefusalAdvice {
  return ADVICE.get(rule) ?? UNKNOWN_RULE
}
