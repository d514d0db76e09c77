import assert from 'node:assert/strict';
import {
  type Action,
  type RouterEvent,
  type Settings,
  type State,
  type Step,
  type VirtualRouter,
  nextDeadline,
} from '../../src/protocol/machine.ts';
import { step } from '../../src/protocol/vrrp-machine.ts';
import type { Advertisement } from '../../src/protocol/vrrp-packet.ts';

/** Routers and events to begin a test with. Unless a test says otherwise: VRID 51 on 192.0.2.0/24, interval one second, our node
 *  is .2 with priority 100, its neighbours are .1 (the lower address) and .3 (the higher). */

export const ourAddress = '192.0.2.2';
export const lowerAddress = '192.0.2.1';
export const higherAddress = '192.0.2.3';

export const settings: Settings = {
  family: 'ipv4',
  vrid: 51,
  priority: 100,
  intervalMs: 1000,
  preempt: true,
  preemptDelayMs: 0,
  addresses: ['192.0.2.100'],
};

/** (256 - 100) / 256 of one second: priority 100's Skew_Time at one second. */
export const skewMs = 609.375;
/** Priority 100's Active_Down_Interval at one second. */
export const downMs = 3609.375;

export function routerIn(state: State, changes: Partial<Settings> = {}, demotion = 0): VirtualRouter {
  return {
    settings: { ...settings, ...changes },
    demotion,
    primaryAddress: ourAddress,
    state,
    heard: undefined,
  };
}

export function inInit(changes: Partial<Settings> = {}, demotion = 0): VirtualRouter {
  return routerIn({ name: 'init' }, changes, demotion);
}

/** A backup that has just heard its master at 0 ms, of the same interval. */
export function inBackup(changes: Partial<Settings> = {}, demotion = 0): VirtualRouter {
  const fresh = step(inInit(changes, demotion), { type: 'startup', resume: false }, 0).router;
  return step(fresh, heard(254, { intervalMs: fresh.settings.intervalMs }), 0).router;
}

/** A master that has just advertised at 0 ms. */
export function inMaster(changes: Partial<Settings> = {}, demotion = 0): VirtualRouter {
  return step(inInit(changes, demotion), { type: 'startup', resume: true }, 0).router;
}

/** A master that said priority 0 at 0 ms. */
export function inLeaving(
  then: 'backup' | 'init',
  changes: Partial<Settings> = {},
  demotion = 0,
): VirtualRouter {
  return step(inMaster(changes, demotion), { type: 'leave', then }, 0).router;
}

/** An Advertisement that the kernel took off the wire at `arrivedAt`. */
export function heard(
  priority: number,
  more: Partial<Advertisement> & { source?: string; arrivedAt?: number } = {},
): Extract<RouterEvent, { type: 'advertisement-received' }> {
  const { source = higherAddress, arrivedAt = 0, ...fields } = more;
  const advertisement = { vrid: 51, priority, intervalMs: 1000, addresses: settings.addresses, ...fields };
  return { type: 'advertisement-received', advertisement, source, arrivedAt };
}

export const deadline: RouterEvent = { type: 'deadline-reached' };

/** The actions in short: `send-advertisement 100`, `claim-addresses`, ... */
export function did({ actions }: { actions: readonly Action[] }): string[] {
  return actions.map((action) => {
    if (action.type === 'send-advertisement') return `${action.type} ${action.priority}`;
    return action.type === 'report-transition' ? `${action.type} ${action.reason.code}` : action.type;
  });
}

/** Plays events one after the other. @returns the last step */
export function play(
  router: VirtualRouter,
  ...events: readonly (readonly [at: number, event: RouterEvent])[]
): Step {
  return events.reduce<Step>((before, [at, event]) => step(before.router, event, at), {
    router,
    actions: [],
  });
}

/** When the router will do something by itself. */
export function dueAt(router: VirtualRouter): number | undefined {
  return nextDeadline(router.state);
}

/** That a router changes nothing but what it last heard, and asks for nothing. */
export function assertUnmoved(router: VirtualRouter, event: RouterEvent, now: number): void {
  const after = step(router, event, now);
  assert.deepEqual(after.actions, []);
  assert.deepEqual(after.router.state, router.state);
}
