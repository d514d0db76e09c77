import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { must } from './child.ts';
import { removeDirectory, temporaryDirectory } from './leftovers.ts';
import { encodePcap, type Frame } from './pcap.ts';

/** What tshark says about one frame. */
export interface Verdict {
  /** Dissectors from the outside in: `eth`, `ip`, `vrrp`. */
  readonly protocols: readonly string[];
  /** Every VRRP, ARP and ICMPv6 field by tshark's name (`vrrp.prio`), its values in order. */
  readonly fields: Readonly<Record<string, readonly string[]>>;
  /** The VRRP checksum in the two readings of VRRPv3 over IPv4 (for IPv6 both are the same); undefined for other frames. */
  readonly checksum: { readonly pseudoHeader: Judgement; readonly message: Judgement } | undefined;
  /** Expert information of any severity, and `malformed`. */
  readonly complaints: readonly string[];
}

export type Judgement = 'good' | 'bad' | 'unverified';

const names = [
  'vrrp.version',
  'vrrp.type',
  'vrrp.virt_rtr_id',
  'vrrp.prio',
  'vrrp.addr_count',
  'vrrp.reserved_mbz',
  'vrrp.short_adver_int',
  'vrrp.checksum',
  'vrrp.ip_addr',
  'vrrp.ipv6_addr',
  'ip.ttl',
  'ip.src',
  'ip.dst',
  'ipv6.hlim',
  'ipv6.src',
  'ipv6.dst',
  'eth.src',
  'eth.dst',
  'arp.opcode',
  'arp.isgratuitous',
  'arp.src.hw_mac',
  'arp.src.proto_ipv4',
  'arp.dst.proto_ipv4',
  'icmpv6.type',
  'icmpv6.checksum.status',
  'icmpv6.nd.na.flag.r',
  'icmpv6.nd.na.flag.s',
  'icmpv6.nd.na.flag.o',
  'icmpv6.nd.na.target_address',
  'icmpv6.opt.linkaddr',
] as const;
const [status, protocols, expert, malformed] = [
  'vrrp.checksum.status',
  'frame.protocols',
  '_ws.expert.message',
  '_ws.malformed',
] as const;

/** Lets tshark read frames, twice: once for each reading of the IPv4 checksum.
 *  @returns one verdict for each frame, in order */
export async function judge(frames: readonly Frame[]): Promise<readonly Verdict[]> {
  const directory = temporaryDirectory('tshark');
  try {
    const file = join(directory, 'frames.pcap');
    await writeFile(file, encodePcap(frames));
    const [pseudoHeader, message] = await Promise.all([dissect(file, false), dissect(file, true)]);
    return pseudoHeader.map((fields, index) => verdict(fields, message[index] ?? {}));
  } finally {
    removeDirectory(directory);
  }
}

type Fields = Record<string, readonly string[]>;

function verdict(pseudoHeader: Fields, message: Fields): Verdict {
  const fields = Object.fromEntries(
    names.flatMap((name) => (pseudoHeader[name] ? [[name, pseudoHeader[name]]] : [])),
  );
  return {
    protocols: pseudoHeader[protocols]?.[0]?.split(':') ?? [],
    fields,
    checksum:
      pseudoHeader[status] === undefined
        ? undefined
        : { pseudoHeader: judgement(pseudoHeader[status]), message: judgement(message[status] ?? []) },
    // The checksum is judged above; the complaint about one reading says nothing.
    complaints: [...(pseudoHeader[expert] ?? []), ...(pseudoHeader[malformed] ? ['malformed'] : [])].filter(
      (complaint) => !/checksum/i.test(complaint),
    ),
  };
}

function judgement([value]: readonly string[]): Judgement {
  if (value === '1' || value === 'Good') return 'good';
  return value === '0' || value === 'Bad' ? 'bad' : 'unverified';
}

/** One record for each frame; fields that a frame does not have are left out. */
async function dissect(file: string, messageOnly: boolean): Promise<Fields[]> {
  const wanted = [...names, status, protocols, expert, malformed];
  const output = await must('tshark', [
    ...['-r', file, '-n', '-o', `vrrp.v3_checksum_as_in_v2:${messageOnly ? 'TRUE' : 'FALSE'}`],
    ...['-T', 'fields', '-E', 'separator=/t', '-E', 'occurrence=a', '-E', 'aggregator=;'],
    ...wanted.flatMap((name) => ['-e', name]),
  ]);
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const values = line.split('\t');
      return Object.fromEntries(
        wanted.flatMap((name, index) => (values[index] ? [[name, values[index].split(';')]] : [])),
      );
    });
}
