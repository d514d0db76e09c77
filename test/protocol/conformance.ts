import { backupRows } from './conformance-backup.ts';
import { masterRows } from './conformance-master.ts';
import { messageRows } from './conformance-message.ts';
import { receiveRows } from './conformance-receive.ts';
import type { ConformanceRow } from './conformance-row.ts';

/** What the pure protocol shows of RFC 9568, by id: the conformance table is made from this. */
export const conformance: readonly ConformanceRow[] = [
  ...messageRows,
  ...backupRows,
  ...masterRows,
  ...receiveRows,
];

/** The ids of the same part of the table that a pure function cannot show, and what stands in its way. */
export const elsewhere: readonly { readonly ids: readonly string[]; readonly why: string }[] = [
  { ids: ['V3-01', 'V3-02'], why: "the source address comes from the host's interfaces (daemon/facts)" },
  { ids: ['V3-03', 'V3-04'], why: 'the kernel forwards, or does not' },
  { ids: ['V3-05', 'V3-07', 'V3-09'], why: 'the socket fills the IP header' },
  { ids: ['V3-11', 'V3-12'], why: 'needs the virtual MAC, which is not built yet' },
  { ids: ['V3-28', 'V3-29'], why: 'ranges and defaults belong to the configuration' },
  { ids: ['V3-34'], why: 'needs accept mode, which is not built yet' },
  { ids: ['V3-35', 'V3-72', 'V3-73'], why: 'the daemon logs and counts' },
  {
    ids: ['V3-39', 'V3-40', 'V3-41', 'V3-42', 'V3-43'],
    why: 'the kernel of a backup must stay silent: needs a wire',
  },
  {
    ids: ['V3-50', 'V3-51', 'V3-52', 'V3-54', 'V3-55', 'V3-56'],
    why: 'the kernel of a master answers: needs a wire',
  },
  { ids: ['V3-53'], why: 'Router Advertisements are left to radvd and its like' },
  { ids: ['V3-68'], why: 'which VRID listens on which interface is known to daemon/receive' },
  { ids: ['V3-77'], why: 'the sum of the rows on sending: seen on a wire' },
  { ids: ['V3-78'], why: 'the socket hands over the IP payload; padding given to the codec is bad_length' },
];
