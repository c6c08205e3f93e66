/** IANA "TLS Supported Groups" that OpenSSL may negotiate here. */
const GROUPS: ReadonlyMap<number, string> = new Map([
  [0x0017, 'secp256r1'],
  [0x0018, 'secp384r1'],
  [0x0019, 'secp521r1'],
  [0x001d, 'x25519'],
  [0x001e, 'x448'],
  [0x11eb, 'SecP256r1MLKEM768'],
  [0x11ec, 'X25519MLKEM768'],
  [0x11ed, 'SecP384r1MLKEM1024'],
])

const SEQUENCE = 0x30
const INTEGER = 0x02
/** `peer [3] EXPLICIT Certificate` and `kex_group [19] EXPLICIT INTEGER` of OpenSSL's SSL_SESSION. */
const PEER_FIELD = 0xa3
const GROUP_FIELD = 0xb3

/**
 * The group of the key exchange, from the session as OpenSSL writes it (DER): on the server's side Node tells it in no
 * other way. Null when the session does not say.
 */
export function keyExchangeGroupOf(session: Uint8Array | undefined): string | null {
  const field = fieldOf(session, GROUP_FIELD)
  return field === null ? null : nameOf(field)
}

/**
 * DER of the certificate that the client proved in the full handshake, as the session keeps it; a copy. Null when the
 * client showed none.
 */
export function clientCertificateOf(session: Uint8Array | undefined): Uint8Array | null {
  const field = fieldOf(session, PEER_FIELD)
  return field === null ? null : new Uint8Array(field)
}

function fieldOf(session: Uint8Array | undefined, tag: number): Uint8Array | null {
  if (session === undefined || session[0] !== SEQUENCE) return null
  for (let place = contentOf(session, 0).start; place < session.length;) {
    const { start, end } = contentOf(session, place)
    if (session[place] === tag) return session.subarray(start, end)
    place = end
  }
  return null
}

function nameOf(field: Uint8Array): string | null {
  if (field[0] !== INTEGER) return null
  const { start, end } = contentOf(field, 0)
  const group = field.subarray(start, end).reduce((value, byte) => value * 256 + byte, 0)
  return GROUPS.get(group) ?? `0x${group.toString(16).padStart(4, '0')}`
}

/** X.690 §8.1.3, definite lengths of up to three bytes. Past the end when the bytes are cut short. */
function contentOf(der: Uint8Array, place: number): { start: number; end: number } {
  const first = der[place + 1] ?? 0
  const count = first < 0x80 ? 0 : first & 0x7f
  const start = place + 2 + count
  const length = count === 0 ? first : der.subarray(place + 2, start).reduce((value, byte) => value * 256 + byte, 0)
  return { start, end: start + length }
}
