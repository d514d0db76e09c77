import { type Group, groupState } from './group.ts';
import type { Heard, Settings } from './machine.ts';
import { listsLinkLocalFirst } from './vrrp-packet.ts';

/** What an operator should look at although the election goes on: worked out from what the routers last heard, so that an
 *  alarm ends when its cause does. */

/** Said so recently that its sender still is what it says: a master is heard again within an interval, and what a backup once
 *  said as a master may have been mended since. */
function isFresh(heard: Heard | undefined, now: number): heard is Heard {
  return heard !== undefined && now - heard.at <= 4 * heard.advertisement.intervalMs;
}

/** How the neighbour's Advertisement differs from our own configuration (RFC 9568 7.1: logged, never dropped). */
function differences(settings: Settings, heard: Heard): string[] {
  const { advertisement, source } = heard;
  const alarms: string[] = [];
  if (advertisement.priority > 0 && advertisement.intervalMs !== settings.intervalMs) {
    alarms.push(
      `${source} advertises every ${advertisement.intervalMs} ms, this node every ${settings.intervalMs} ms: give both the same interval`,
    );
  }
  const theirs = new Set(advertisement.addresses);
  const ours = new Set(settings.addresses);
  const missing = settings.addresses.filter((address) => !theirs.has(address));
  const extra = advertisement.addresses.filter((address) => !ours.has(address));
  if (missing.length + extra.length > 0) {
    const parts = [
      ...(missing.length > 0 ? [`does not list ${missing.join(', ')}`] : []),
      ...(extra.length > 0 ? [`lists ${extra.join(', ')} besides`] : []),
    ];
    alarms.push(`${source} ${parts.join(' and ')}: give both nodes the same addresses`);
  } else if (settings.family === 'ipv6' && !listsLinkLocalFirst(advertisement)) {
    alarms.push(`${source} does not list a link-local address first (RFC 9568 5.2.9): heard all the same`);
  }
  return alarms;
}

/** A neighbour of the same priority: the higher address wins, which nobody chose (RFC 9568 8.3.2). */
function rivalry(settings: Settings, heard: Heard): string[] {
  if (heard.advertisement.priority !== settings.priority) return [];
  return settings.priority === 255
    ? [`${heard.source} also claims to own the addresses (priority 255): only one node can`]
    : [`${heard.source} has the same priority ${settings.priority}: give the nodes different ones`];
}

/** Members that have lost their master while others of the group still hear it.
 *  @param now monotonic milliseconds */
function partialSilence(group: Group, now: number): string[] {
  if (groupState(group) !== 'backup') return [];
  const silent: string[] = [];
  const hearing: string[] = [];
  for (const [id, { state }] of group.members) {
    if (state.name !== 'backup') continue;
    // Not at once: while a role moves, one link is always the first.
    const isSilent = state.masterDownAt + 3 * state.masterIntervalMs <= now;
    (isSilent ? silent : hearing).push(id);
  }
  if (silent.length === 0 || hearing.length === 0) return [];
  return [
    `no master is heard on ${silent.join(', ')}, but on ${hearing.join(', ')} there is one: look at the link that is silent`,
  ];
}

/** Somebody else goes on advertising although this node is master. One Advertisement may cross ours when the role changes,
 *  and a yielding master has a last word; what comes after that is a second master, or a stranger with our VRID.
 *  @param since when the group became what it is */
function secondMaster(group: Group, now: number, since: number): string[] {
  return [...group.members].flatMap(([id, { state, heard }]) => {
    if (state.name !== 'master' || !isFresh(heard, now)) return [];
    const { source, advertisement, at } = heard;
    if (advertisement.priority === 0 || at < since + 2 * advertisement.intervalMs) return [];
    return [
      `${id}: ${source} (priority ${advertisement.priority}) advertises although this node is master: can it hear us, and is it one of yours?`,
    ];
  });
}

/** @param now monotonic milliseconds
 *  @param since when the group became what it is, monotonic milliseconds
 *  @returns a sentence for each thing that is wrong now */
export function alarmsOf(group: Group, now: number, since: number): string[] {
  const routers = [...group.members].flatMap(([id, { settings, heard }]) => {
    if (!isFresh(heard, now)) return [];
    return [...differences(settings, heard), ...rivalry(settings, heard)].map((alarm) => `${id}: ${alarm}`);
  });
  return [...partialSilence(group, now), ...secondMaster(group, now, since), ...routers];
}
