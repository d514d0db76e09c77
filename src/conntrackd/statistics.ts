/** What conntrackd's statistics say (`-s`, `-s network`, `-s cache`, `-s queue`, `-s runtime`). Numbers are found by their labels,
 *  lines that are not known are passed over, and a block that is missing is missing: its numbers are undefined, never 0.
 *  Nothing in here throws, whatever the text. */

export type Mode =
  /** The peer's sessions lie in conntrackd until they are committed. */
  | 'external-cache'
  /** `DisableExternalCache on`: the peer's sessions are in our kernel already. */
  | 'injection'
  /** It only counts: there is nothing to take over. */
  | 'statistics'
  /** Not the answer of a conntrackd we know. */
  | 'unknown';

export interface CacheCounts {
  /** Undefined where sessions pass through and are not kept. */
  readonly current: number | undefined;
  readonly created: number | undefined;
  readonly createFailed: number | undefined;
  readonly updated: number | undefined;
  readonly updateFailed: number | undefined;
  readonly destroyed: number | undefined;
  readonly destroyFailed: number | undefined;
}

/** Of the link that is in use. */
export interface LinkCounts {
  readonly device: string;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly packetsSent: number;
  /** Grows at least once a second while the peer's conntrackd lives: it says so when it has nothing else to say. */
  readonly packetsReceived: number;
  readonly sendErrors: number;
  readonly receiveErrors: number;
}

/** `-s` */
export interface Statistics {
  readonly mode: Mode;
  /** Our own sessions, as conntrackd knows them. */
  readonly internal: CacheCounts | undefined;
  /** The peer's; in injection mode what was put into the kernel. */
  readonly external: CacheCounts | undefined;
  readonly link: LinkCounts | undefined;
  readonly malformedMessages: number | undefined;
  readonly lostMessages: number | undefined;
}

export function parseStatistics(text: string): Statistics {
  const blocks = blocksOf(text);
  const cache = blocks.get('cache external');
  const injected = blocks.get('external inject');
  const mode =
    cache !== undefined
      ? 'external-cache'
      : injected !== undefined
        ? 'injection'
        : blocks.has('cache stats')
          ? 'statistics'
          : 'unknown';
  const [, malformed, lost] = /(\d+) Malformed msgs\s+(\d+) Lost msgs/.exec(text) ?? [];
  return {
    mode,
    internal: cacheCounts(blocks.get('cache internal')),
    external: cacheCounts(cache ?? injected),
    link: linkCounts(text),
    malformedMessages: optionalNumber(malformed),
    lostMessages: optionalNumber(lost),
  };
}

/** `-s network` */
export interface NetworkStatistics {
  /** Labels as conntrackd writes them: `Wrong protocol version`, `Truncated message`. */
  readonly received: ReadonlyMap<string, number>;
  readonly sent: ReadonlyMap<string, number>;
  readonly packetsLost: number | undefined;
  readonly packetsBefore: number | undefined;
  readonly link: LinkCounts | undefined;
}

export function parseNetwork(text: string): NetworkStatistics {
  const tables = { recv: new Map<string, number>(), send: new Map<string, number>() };
  let table = tables.recv;
  for (const line of text.split('\n')) {
    const heading = /^\t(recv|send):\s*$/.exec(line)?.[1];
    if (heading === 'recv' || heading === 'send') table = tables[heading];
    const entry = labelled(line);
    if (entry !== undefined) table.set(...entry);
  }
  const { recv, send } = tables;
  return {
    received: recv,
    sent: send,
    packetsLost: recv.get('Packets lost'),
    packetsBefore: recv.get('Packets before'),
    link: linkCounts(text),
  };
}

/** `-s cache`, of one cache. */
export interface CacheStatistics {
  readonly name: string;
  readonly active: number | undefined;
  readonly total: number | undefined;
  readonly createFailed: number | undefined;
  /** The cache was full (HashLimit): such sessions are not synchronised, and no log says so. */
  readonly noSpaceLeft: number | undefined;
}

export function parseCache(text: string): CacheStatistics[] {
  return text.split(/^(?=cache:)/m).flatMap((block) => {
    const name = /^cache:(\S+)/.exec(block)?.[1];
    if (name === undefined) return [];
    const [, active, total] = /active\/total entries:\s*(\d+)\/\s*(\d+)/.exec(block) ?? [];
    return [
      {
        name,
        active: optionalNumber(active),
        total: optionalNumber(total),
        createFailed: optionalNumber(/creation OK\/failed:\s*\d+\/\s*(\d+)/.exec(block)?.[1]),
        noSpaceLeft: optionalNumber(/no space left in cache:\s*(\d+)/.exec(block)?.[1]),
      },
    ];
  });
}

/** `-s queue`, of one queue: `txqueue`, `rsqueue`, `errorq`. */
export interface QueueStatistics {
  readonly current: number | undefined;
  readonly maximum: number | undefined;
  /** Growing in `rsqueue`: objects were thrown away before the peer had them. */
  readonly notEnoughSpace: number | undefined;
}

export function parseQueue(text: string): Map<string, QueueStatistics> {
  const queues = text.split(/^(?=queue )/m).flatMap((block): [string, QueueStatistics][] => {
    const name = /^queue (\w+):/.exec(block)?.[1];
    if (name === undefined) return [];
    const numbers = labelledNumbers(block);
    return [
      [
        name,
        {
          current: numbers.get('current elements'),
          maximum: numbers.get('maximum elements'),
          notEnoughSpace: numbers.get('not enough space errors'),
        },
      ],
    ];
  });
  return new Map(queues);
}

/** `-s runtime`, by the labels of conntrackd: `netlink overrun`, `local unknown request`. */
export function parseRuntime(text: string): Map<string, number> {
  return labelledNumbers(text);
}

/** The lines under each heading (`cache internal:`), by heading. */
function blocksOf(text: string): Map<string, readonly string[]> {
  const blocks = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of text.split('\n')) {
    const heading = /^([a-z ]+):\s*$/.exec(line)?.[1];
    if (heading === undefined) {
      current.push(line);
      continue;
    }
    current = [];
    blocks.set(heading, current);
  }
  return blocks;
}

function cacheCounts(lines: readonly string[] | undefined): CacheCounts | undefined {
  if (lines === undefined) return undefined;
  const text = lines.join('\n');
  const numbers = labelledNumbers(text);
  const failed = (label: string): number | undefined =>
    optionalNumber(new RegExp(`^connections ${label}:\\s+\\d+\\s+failed:\\s+(\\d+)`, 'm').exec(text)?.[1]);
  return {
    current: numbers.get('current active connections'),
    created: numbers.get('connections created'),
    createFailed: failed('created'),
    updated: numbers.get('connections updated'),
    updateFailed: failed('updated'),
    destroyed: numbers.get('connections destroyed'),
    destroyFailed: failed('destroyed'),
  };
}

function linkCounts(text: string): LinkCounts | undefined {
  const found =
    /traffic \(active device=([^)\n]*)\):\s+(\d+) Bytes sent\s+(\d+) Bytes recv\s+(\d+) Pckts sent\s+(\d+) Pckts recv\s+(\d+) Error send\s+(\d+) Error recv/.exec(
      text,
    );
  if (found === null) return undefined;
  const [device = '', ...counts] = found.slice(1);
  const [
    bytesSent = 0,
    bytesReceived = 0,
    packetsSent = 0,
    packetsReceived = 0,
    sendErrors = 0,
    receiveErrors = 0,
  ] = counts.map(Number);
  return { device, bytesSent, bytesReceived, packetsSent, packetsReceived, sendErrors, receiveErrors };
}

function labelledNumbers(text: string): Map<string, number> {
  return new Map(
    text
      .split('\n')
      .map(labelled)
      .filter((entry) => entry !== undefined),
  );
}

/** `connections created:	 12	failed:	 0` -> ['connections created', 12] */
function labelled(line: string): [string, number] | undefined {
  const [, label, value] = /^\s*([A-Za-z][A-Za-z /()]*):\s+(\d+)/.exec(line) ?? [];
  return label === undefined || value === undefined ? undefined : [label, Number(value)];
}

function optionalNumber(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}
