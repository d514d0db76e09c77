import type { Test } from 'tap';
import type { GroupConfig } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { FailoverGroup } from '../../src/daemon/failover-group.ts';
import { type Member, membersOf } from '../../src/daemon/member.ts';
import { DeadlineTimer } from '../../src/net/deadline-timer.ts';
import { type Native, loadNative } from '../../src/net/native.ts';
import type { GroupAction } from '../../src/protocol/group.ts';

/** Real parts of the daemon for its unit tests, built from a configuration as the daemon builds them. */

export const native: Native = loadNative();

export function groupConfig(instances: string, settings: string = 'priority: 100'): GroupConfig {
  const { groups } = loadConfig(
    `groups:\n  edge:\n    ${settings}\n    instances: { ${instances} }\n`,
    'test.yaml',
  );
  const [group] = groups;
  if (group === undefined) throw new Error('no group');
  return group;
}

export const lan = 'lan: { interface: lan, vrid: 61, addresses: [192.0.2.61/24, "2001:db8:1::61/64"] }';

/** The member of a group, by its id. */
export function memberOf(config: GroupConfig, id: string): Member {
  const member = membersOf(config).find((each) => each.id === id);
  if (member === undefined) throw new Error(`no member ${id}`);
  return member;
}

export const sources: Readonly<Record<'lan/ipv4' | 'lan/ipv6', string>> = {
  'lan/ipv4': '192.0.2.1',
  'lan/ipv6': 'fe80::1',
};

/** A group with real deadlines, and everything that it asked to be performed. It ends with the test. */
export function openGroup(
  t: Test,
  config: GroupConfig,
): { readonly group: FailoverGroup; readonly actions: GroupAction[] } {
  const timer = DeadlineTimer.open(native);
  const actions: GroupAction[] = [];
  const group = new FailoverGroup({
    name: config.name,
    members: membersOf(config),
    takeover: config.takeover,
    native,
    timer,
    perform: (_group, asked) => {
      actions.push(...asked);
    },
    drain: () => undefined,
  });
  t.teardown(() => {
    group.close();
    timer.close();
  });
  group.step({ type: 'facts-changed', faults: [], sources: new Map(Object.entries(sources)) });
  return { group, actions };
}
