/** The Internet checksum's running sum (RFC 1071) over 16-bit words in network order; an odd last octet counts as the
 *  high half of a word.
 *  @param sum what earlier parts added up to
 *  @returns the sum, not yet folded */
export function sumWords(bytes: Uint8Array, sum = 0): number {
  const even = bytes.length & ~1;
  for (let index = 0; index < even; index += 2) sum += ((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0);
  return even < bytes.length ? sum + ((bytes[even] ?? 0) << 8) : sum;
}

/** Folds a sum into the 16-bit checksum that is written to the wire; 0 when the sum covered a correct checksum. */
export function foldChecksum(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** The sum of the pseudo-header in front of an upper-layer message: RFC 8200 8.1 for 16-octet addresses, the IPv4 form
 *  (source, destination, 0, protocol, length) for 4-octet ones. */
export function sumPseudoHeader(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): number {
  return sumWords(destination, sumWords(source)) + protocol + length;
}
