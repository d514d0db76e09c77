import type { Family } from './address.ts';
import type { Reason } from './reason.ts';
import type { Advertisement } from './vrrp-packet.ts';

/** The words of the state machines: what a Virtual Router is, what can happen to it, what it asks for. All of it is plain
 *  data; every instant is monotonic milliseconds, and a deadline lives in the state that waits for it. */

/** RFC 9568 6.3 calls these Initialize, Backup and Active. `leaving` is a master that has said priority 0 and goes on serving
 *  the addresses until somebody else does (make before break). */
export type State =
  | { readonly name: 'init' }
  | {
      readonly name: 'backup';
      /** Active_Adver_Interval: what the master said, at first our own. */
      readonly masterIntervalMs: number;
      /** When Active_Down_Timer fires. */
      readonly masterDownAt: number;
      /** Since when a lesser master is tolerated because preemption is delayed; absent while none is. */
      readonly lesserSince?: number;
    }
  | { readonly name: 'master'; readonly advertiseAt: number }
  | {
      readonly name: 'leaving';
      /** Nobody took over until then. */
      readonly releaseAt: number;
      /** What it becomes when somebody did. */
      readonly then: 'backup' | 'init';
    };

/** What an operator configured for one Virtual Router (RFC 9568 6.1). */
export interface Settings {
  readonly family: Family;
  readonly vrid: number;
  /** 1 to 255; 255 owns the addresses. */
  readonly priority: number;
  readonly intervalMs: number;
  readonly preempt: boolean;
  /** How long a lesser master is tolerated before it is preempted. */
  readonly preemptDelayMs: number;
  /** Advertised addresses, in order. */
  readonly addresses: readonly string[];
}

/** The last valid Advertisement of somebody else. */
export interface Heard {
  readonly source: string;
  readonly advertisement: Advertisement;
  readonly at: number;
}

export interface VirtualRouter {
  readonly settings: Settings;
  /** The group's demotion, which lowers the priority. */
  readonly demotion: number;
  /** The source of our Advertisements, which breaks ties (RFC 9568 6.4.3); undefined only in `init`. */
  readonly primaryAddress: string | undefined;
  readonly state: State;
  readonly heard: Heard | undefined;
}

export type RouterEvent =
  /** `resume`: master at once, because a predecessor of ours was it a moment ago, or the rest of the group is. `listen`: backup
   *  at first, also as the owner of the addresses, because the rest of the group is. */
  | { readonly type: 'startup'; readonly resume: boolean; readonly listen?: boolean }
  | { readonly type: 'shutdown'; readonly reason: Reason }
  /** Hand over in peace, then become backup or leave. */
  | { readonly type: 'leave'; readonly then: 'backup' | 'init' }
  /** Another router of the group has stopped being master. */
  | { readonly type: 'resign'; readonly reason: Reason }
  /** The master said on another link of the group that it is leaving. */
  | { readonly type: 'master-left-elsewhere' }
  /** The rest of the group has lost its master, and that is enough. */
  | { readonly type: 'take-over'; readonly reason: Reason }
  | { readonly type: 'deadline-reached' }
  /** The deadline was missed by so much that others must have taken over. */
  | { readonly type: 'overslept'; readonly lateMs: number }
  | {
      readonly type: 'advertisement-received';
      readonly advertisement: Advertisement;
      readonly source: string;
      /** When the kernel took it off the wire. */
      readonly arrivedAt: number;
      /** The group may not preempt now: a lesser master is tolerated. */
      readonly tolerate?: boolean;
    }
  | { readonly type: 'demotion-changed'; readonly demotion: number }
  | { readonly type: 'source-changed'; readonly primaryAddress: string | undefined }
  | { readonly type: 'settings-changed'; readonly settings: Settings };

/** What to do, in the order to do it. */
export type Action =
  | { readonly type: 'send-advertisement'; readonly priority: number }
  | { readonly type: 'claim-addresses' }
  /** Tell the neighbours where the addresses live: gratuitous ARP, unsolicited NA. */
  | { readonly type: 'announce-addresses' }
  | { readonly type: 'release-addresses' }
  | { readonly type: 'report-transition'; readonly reason: Reason };

export interface Step {
  readonly router: VirtualRouter;
  readonly actions: readonly Action[];
}

/** The instant at which the router wants `deadline-reached`; undefined while it waits for nothing. */
export function nextDeadline(state: State): number | undefined {
  switch (state.name) {
    case 'init':
      return undefined;
    case 'backup':
      return state.masterDownAt;
    case 'master':
      return state.advertiseAt;
    case 'leaving':
      return state.releaseAt;
  }
}
