import type {
  Demotion,
  GroupStateName,
  GroupStatus,
  RouterStatus,
  Status,
  TransitionEvent,
} from '../control/messages.ts';

export interface RenderOptions {
  /** Milliseconds since the epoch: the "now" of every "ago". */
  readonly now: number;
  /** Lists are broken into lines of at most this many columns. */
  readonly columns: number;
  readonly colour: boolean;
}

const colours: Readonly<Record<GroupStateName | 'alarm', string>> = {
  master: '32',
  backup: '36',
  init: '33',
  fault: '31',
  alarm: '33',
};

function paint(text: string, kind: GroupStateName | 'alarm', colour: boolean): string {
  return colour ? `\x1b[${colours[kind]}m${text}\x1b[0m` : text;
}

/** `12 ms`, `3.4 s`, `5m 3s`, `2h 14m`, `3d 4h`: two figures are enough for a person. */
export function formatSpan(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes}m ${seconds % 60}s`;
  if (days === 0) return `${hours}h ${minutes % 60}m`;
  return `${days}d ${hours % 24}h`;
}

function formatInstant(rfc3339: string): string {
  return rfc3339.replace('T', ' ').replace(/(\.[0-9]+)?Z$/, ' UTC');
}

type Align = 'left' | 'right';

/** Rows of cells under each other; a row that is a string stands as it is, under the row before it. */
function table(rows: readonly (readonly string[] | string)[], aligns: readonly Align[]): string[] {
  const widths = aligns.map((_, column) =>
    Math.max(...rows.map((row) => (typeof row === 'string' ? 0 : (row[column] ?? '').length))),
  );
  return rows.map((row) => {
    if (typeof row === 'string') return row;
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return aligns[column] === 'right' ? cell.padStart(width) : cell.padEnd(width);
    });
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

/** `label: a, b, c` in lines of at most `columns`, the later ones under the first item. */
function list(label: string, items: readonly string[], indent: string, columns: number): string[] {
  const lines: string[] = [];
  let line = `${indent}${label}: `;
  const hanging = ' '.repeat(line.length);
  let isEmpty = true;
  for (const [index, item] of items.entries()) {
    const text = index === items.length - 1 ? item : `${item},`;
    if (!isEmpty && line.length + 1 + text.length > columns) {
      lines.push(line);
      line = hanging;
      isEmpty = true;
    }
    line += isEmpty ? text : ` ${text}`;
    isEmpty = false;
  }
  return [...lines, line];
}

function priorityCell({ priority, effective_priority }: RouterStatus): string {
  return priority === effective_priority ? String(priority) : `${effective_priority} of ${priority}`;
}

/** Below a router's row: who is master, where the addresses are, what was thrown away, why it does not run. */
function routerDetails(router: RouterStatus, instanceInterface: string, options: RenderOptions): string[] {
  const { colour, columns } = options;
  const indent = '      ';
  const lines: string[] = [];
  if (router.state !== 'master' && router.master !== null) {
    const { address, priority, last_heard_ms } = router.master;
    lines.push(`${indent}master: ${address}, priority ${priority}, heard ${formatSpan(last_heard_ms)} ago`);
  }
  // A master without its addresses, and anybody else with them, is what an operator looks for: it gets another word.
  const isMaster = router.state === 'master';
  const there = isMaster ? 'present' : 'STILL PRESENT';
  const gone = isMaster ? 'MISSING' : 'absent';
  for (const present of [true, false]) {
    const items = router.addresses
      .filter((entry) => entry.present === present)
      .map((entry) =>
        entry.interface === instanceInterface ? entry.address : `${entry.address} on ${entry.interface}`,
      );
    if (items.length > 0) lines.push(...list(present ? there : gone, items, indent, columns));
  }
  const discards = Object.entries(router.counters.discarded).filter(([, count]) => count > 0);
  const items = discards.map(([reason, count]) => `${reason} ${count}`);
  if (items.length > 0) lines.push(...list('discarded', items, indent, columns));
  for (const fault of router.faults) lines.push(paint(`${indent}fault: ${fault.text}`, 'fault', colour));
  return lines;
}

function demotionText({ source, value, until, persistent }: Demotion): string {
  const end = until === undefined ? '' : ` until ${formatInstant(until)}`;
  return `${source} ${value}${end}${persistent === true ? ' (persistent)' : ''}`;
}

/** The session table in one line, and what is wrong with it. */
function sessionLines({ conntrackd }: GroupStatus, colour: boolean): string[] {
  if (conntrackd === undefined) return [];
  const { state, duration_ms: durationMs, entries, sync_text: syncText, trouble } = conntrackd;
  const counts = [
    ...(entries.kernel === null ? [] : [`${entries.kernel} here`]),
    ...(entries.external === null ? [] : [`${entries.external} of the other node`]),
  ];
  const took = state === 'committed' && durationMs !== null ? ` in ${durationMs.toFixed(1)} ms` : '';
  const lines = [`  sessions: ${[`${state}${took}`, ...counts].join(', ')}`];
  if (trouble !== null) lines.push(paint(`  alarm: ${trouble}`, 'alarm', colour));
  else if (state === 'syncing') lines.push(`    ${syncText}`);
  return lines;
}

/** A master's missing routes and rules; a backup's that are still there. */
function routingLines({ state, routing }: GroupStatus, colour: boolean): string[] {
  const isMaster = state === 'master';
  return routing
    .filter(({ present }) => present !== isMaster)
    .map(({ text }) => paint(`  ${isMaster ? 'MISSING' : 'STILL PRESENT'}: ${text}`, 'alarm', colour));
}

/** Trackers that do not pass; the others are in the JSON. */
function trackerLines({ trackers }: GroupStatus, colour: boolean): string[] {
  return trackers
    .filter(({ state }) => state !== 'pass')
    .map(({ name, state, detail }) => paint(`  tracker ${name}: ${state}: ${detail}`, 'alarm', colour));
}

/** Hooks that did not end well. */
function hookLines({ hooks }: GroupStatus, colour: boolean): string[] {
  return hooks
    .filter(({ result }) => result !== 'running' && result !== 'ended with status 0')
    .map(({ command, result }) => paint(`  hook ${command.join(' ')}: ${result}`, 'alarm', colour));
}

function renderGroup(group: GroupStatus, options: RenderOptions): string[] {
  const { now, colour, columns } = options;
  const age = formatSpan(now - Date.parse(group.since));
  const state = paint(group.state, group.state, colour);
  const lines = [
    `${group.name}: ${state} since ${formatInstant(group.since)} (${age})`,
    `  ${group.reason_text}`,
  ];
  if (group.handing_over) lines.push('  handing over: forwards until the successor is heard');
  const demotions = group.demotions.filter(({ value }) => value > 0).map(demotionText);
  if (demotions.length > 0) lines.push(...list(`demotion ${group.demotion}`, demotions, '  ', columns));
  for (const alarm of group.alarms) lines.push(paint(`  alarm: ${alarm}`, 'alarm', colour));
  lines.push(
    ...sessionLines(group, colour),
    ...routingLines(group, colour),
    ...trackerLines(group, colour),
    ...hookLines(group, colour),
  );
  const rows: (string[] | string)[] = [
    ['INSTANCE', 'INTERFACE', 'VRID', 'FAMILY', 'STATE', 'PRIORITY', 'SENT', 'RECEIVED'],
  ];
  for (const instance of group.instances) {
    for (const router of instance.routers) {
      rows.push([
        instance.name,
        instance.interface,
        String(instance.vrid),
        router.family,
        router.state,
        priorityCell(router),
        String(router.counters.sent),
        String(router.counters.received),
      ]);
      rows.push(...routerDetails(router, instance.interface, options));
    }
  }
  const aligns: Align[] = ['left', 'left', 'right', 'left', 'left', 'left', 'right', 'right'];
  return [...lines, ...table(rows, aligns)];
}

/** The table of `havrrp status`, ending in a newline. */
export function renderStatus(status: Status, options: RenderOptions): string {
  const up = formatSpan(options.now - Date.parse(status.started_at));
  const { p99, max } = status.loop_lateness_ms;
  const head = `${status.node}: havrrp ${status.version}, pid ${status.pid}, up ${up}, ${status.config_file}`;
  const lateness = `event loop late by ${p99.toFixed(1)} ms (p99), ${max.toFixed(1)} ms at most`;
  const blocks = [[head, lateness], ...status.groups.map((group) => renderGroup(group, options))];
  const peers = status.peers.map(
    ({ name, connected }) => `peer ${name}: ${connected ? '' : 'not '}connected`,
  );
  if (peers.length > 0) blocks.push(peers);
  return `${blocks.map((block) => block.join('\n')).join('\n\n')}\n`;
}

/** One line of `havrrp events`, without the newline. */
export function renderEvent({ at, group, type, from, to, text }: TransitionEvent): string {
  const what = from !== undefined && to !== undefined ? `${from} -> ${to}` : type;
  return `${at}  ${group === '' ? '-' : group}  ${what.padEnd('backup -> master'.length)}  ${text}`;
}
