import { unreachable } from '../../errors.ts';
import type { Native } from '../../net/native.ts';
import { lookAtFile } from './file.ts';
import { lookAtCommand } from './command.ts';
import { lookAtPing } from './ping.ts';
import type { Look } from './poller.ts';
import { lookAtProcess } from './process.ts';
import type { PolledTarget } from './settings.ts';
import { lookAtTcp } from './tcp.ts';

export interface LookOptions {
  readonly native: Native;
  /** For commands: HAVRRP_NODE and the like. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How one looks at a target of this kind. */
export function lookAt(target: PolledTarget, { native, environment }: LookOptions): Look {
  switch (target.kind) {
    case 'ping':
      return lookAtPing(native, target);
    case 'tcp':
      return lookAtTcp(native, target);
    case 'command':
      return lookAtCommand(native, target.argv, environment);
    case 'process':
      return lookAtProcess(target.process);
    case 'file':
      return lookAtFile(target.path);
    default:
      return unreachable(target);
  }
}
