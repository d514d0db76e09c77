import {
  type Group,
  type GroupAction,
  type GroupEvent,
  type GroupStep,
  type MemberSettings,
  createGroup,
  stepGroup,
} from '../../src/protocol/group.ts';
import type { Settings } from '../../src/protocol/machine.ts';
import { reasonCode } from '../../src/protocol/reason.ts';
import { heard, ourAddress, settings } from './samples.ts';

/** Groups to begin a test with: `wan` (VRID 51) and `lan` (VRID 52), priority 100, interval one second. */

export const vrids: Readonly<Record<string, number>> = { wan: 51, lan: 52, dmz: 53 };

export function member(
  id: string,
  changes: Partial<Settings> = {},
  primaryAddress: string | undefined = ourAddress,
): MemberSettings {
  return { id, settings: { ...settings, vrid: vrids[id] ?? 99, ...changes }, primaryAddress };
}

/** Plays events one after the other. @returns the last step */
export function playGroup(
  group: Group,
  ...events: readonly (readonly [at: number, event: GroupEvent])[]
): GroupStep {
  return events.reduce<GroupStep>((before, [at, event]) => stepGroup(before.group, event, at), {
    group,
    actions: [],
  });
}

export function newGroup(changes: Partial<Settings> = {}): Group {
  return createGroup([member('wan', changes), member('lan', changes)]);
}

export const startup: GroupEvent = { type: 'startup', resume: false };
export const deadline: GroupEvent = { type: 'deadline-reached' };
export const stop: GroupEvent = { type: 'stop', planned: true, reason: { code: 'shutdown' } };
export const stopAtOnce: GroupEvent = { type: 'stop', planned: false, reason: { code: 'shutdown' } };
export const demote: GroupEvent = {
  type: 'demotions-changed',
  demotions: [{ source: 'operator', value: 254, hard: false }],
  handOver: true,
};
export const demoteHard: GroupEvent = {
  type: 'demotions-changed',
  demotions: [{ source: 'operator', value: 254, hard: true }],
  handOver: true,
};
export const promote: GroupEvent = { type: 'demotions-changed', demotions: [], handOver: false };

export function facts(...faults: readonly string[]): GroupEvent {
  const sources = new Map([
    ['wan', ourAddress],
    ['lan', ourAddress],
  ]);
  return { type: 'facts-changed', faults: faults.map((code) => ({ code, text: `${code} it is` })), sources };
}

/** An Advertisement of `priority` that a member hears the moment it arrives. */
export function hears(id: string, priority: number, arrivedAt: number, source?: string): GroupEvent {
  const more = { vrid: vrids[id] ?? 99, arrivedAt, ...(source === undefined ? {} : { source }) };
  return { ...heard(priority, more), id };
}

/** A backup since 0 ms, which has heard nobody. */
export function backupGroup(changes: Partial<Settings> = {}): Group {
  return stepGroup(newGroup(changes), startup, 0).group;
}

/** A master since 0 ms. */
export function masterGroup(changes: Partial<Settings> = {}): Group {
  return stepGroup(newGroup(changes), { type: 'startup', resume: true }, 0).group;
}

/** The actions in short: `wan send-advertisement 100`, `wan claim-addresses`, `backup -> master: master_down_timer`. */
export function did({ actions }: { readonly actions: readonly GroupAction[] }): string[] {
  return actions.map((action) => {
    if (action.type === 'report-transition')
      return `${action.from} -> ${action.to}: ${reasonCode(action.reason)}`;
    const detail = action.type === 'send-advertisement' ? ` ${action.priority}` : '';
    return `${action.id} ${action.type}${detail}`;
  });
}

/** `wan master, lan master`. */
export function statesOf({ members }: Group): string {
  return [...members].map(([id, { state }]) => `${id} ${state.name}`).join(', ');
}
