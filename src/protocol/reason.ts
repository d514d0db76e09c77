import { unreachable } from '../errors.ts';

/** Something that keeps a router from running: a fact of the host, found out elsewhere. */
export interface Fault {
  /** `link_down`, `interface_missing`, ... */
  readonly code: string;
  readonly text: string;
}

/** Why a state changed, as data. */
export type Reason =
  | { readonly code: 'startup' }
  | { readonly code: 'resumed' }
  | { readonly code: 'address_owner' }
  | { readonly code: 'master_down_timer'; readonly master: string | undefined; readonly silenceMs: number }
  | { readonly code: 'master_left'; readonly master: string }
  | {
      readonly code: 'preempted';
      readonly master: string;
      readonly priority: number;
      readonly ownPriority: number;
    }
  | {
      readonly code: 'higher_priority';
      readonly master: string;
      readonly priority: number;
      readonly ownPriority: number;
    }
  | { readonly code: 'higher_address'; readonly master: string; readonly priority: number }
  | { readonly code: 'handed_over'; readonly master: string; readonly priority: number }
  | { readonly code: 'nobody_took_over' }
  | { readonly code: 'late_loop'; readonly lateMs: number }
  | { readonly code: 'recovered' }
  | { readonly code: 'demoted_hard' }
  | { readonly code: 'shutdown' }
  | { readonly code: 'removed' }
  | { readonly code: 'fault'; readonly fault: Fault };

/** The code that users see: a fault's own, otherwise the reason's. */
export function reasonCode(reason: Reason): string {
  return reason.code === 'fault' ? reason.fault.code : reason.code;
}

/** @returns a sentence for people, without a full stop */
export function reasonText(reason: Reason): string {
  switch (reason.code) {
    case 'startup':
      return 'started, listening for a master';
    case 'resumed':
      return 'restarted in time: no other node can have taken over';
    case 'address_owner':
      return 'started as the owner of the addresses (priority 255)';
    case 'master_down_timer':
      return reason.master === undefined
        ? `no master was heard for ${Math.round(reason.silenceMs)} ms`
        : `${reason.master} stopped advertising: ${Math.round(reason.silenceMs)} ms of silence`;
    case 'master_left':
      return `${reason.master} said that it is leaving (priority 0)`;
    case 'preempted':
      return `took over from ${reason.master}: its priority ${reason.priority} is below ours, ${reason.ownPriority}`;
    case 'higher_priority':
      return `${reason.master} advertises priority ${reason.priority}, ours is ${reason.ownPriority}`;
    case 'higher_address':
      return `${reason.master} advertises our priority ${reason.priority} and has the higher address`;
    case 'handed_over':
      return `handed over to ${reason.master} (priority ${reason.priority})`;
    case 'nobody_took_over':
      return 'offered to hand over, nobody took over';
    case 'late_loop':
      return `this process did not run for ${Math.round(reason.lateMs)} ms: others may have taken over, listening first`;
    case 'recovered':
      return 'what kept the group from running is gone, listening for a master';
    case 'demoted_hard':
      return 'taken out of the election by an operator (demote --hard)';
    case 'shutdown':
      return 'stopped';
    case 'removed':
      return 'removed from the configuration';
    case 'fault':
      return reason.fault.text;
    default:
      return unreachable(reason);
  }
}
