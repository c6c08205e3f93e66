import type { Command } from 'commander'
import { addAddresses } from './set-addresses.ts'
import { addCrl } from './crl.ts'
import { addDevice } from './device.ts'
import { addImport } from './import.ts'
import { addInspect } from './inspect.ts'
import { addIntermediate } from './intermediate.ts'
import { addRoot } from './root.ts'
import { addSignCsr } from './sign-csr.ts'
import { addVerificationCert } from './verification-cert.ts'
import { addRevoke } from './revoke.ts'
import { addVerify } from './verify.ts'

/** The commands of `holdfast pki`, in the order in which one needs them. */
export function register(pki: Command): void {
  addRoot(pki)
  addIntermediate(pki)
  addImport(pki)
  addAddresses(pki)
  addVerificationCert(pki)
  addDevice(pki)
  addSignCsr(pki)
  addInspect(pki)
  addVerify(pki)
  addRevoke(pki)
  addCrl(pki)
}
