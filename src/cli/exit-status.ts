import { CommanderError } from 'commander';
import { ConfigError, ControlError, type ControlErrorCode } from '../errors.ts';
import { complaintLine } from '../control/messages.ts';

/** What a script learns from `havrrp`; the table is in havrrp(8). */
export const exitStatus = {
  ok: 0,
  failed: 1,
  badConfiguration: 2,
  notRunning: 3,
  noSuchGroup: 4,
  notHandedOver: 5,
} as const;

const ofControlError: Readonly<Record<ControlErrorCode, number>> = {
  bad_request: exitStatus.failed,
  no_permission: exitStatus.failed,
  already_running: exitStatus.failed,
  not_running: exitStatus.notRunning,
  // A daemon that is stuck is of no more use to a script than one that is gone.
  no_answer: exitStatus.notRunning,
  no_such_group: exitStatus.noSuchGroup,
  not_handed_over: exitStatus.notHandedOver,
};

export function exitStatusOf(error: unknown): number {
  if (error instanceof ControlError) return ofControlError[error.code];
  if (error instanceof ConfigError) return exitStatus.badConfiguration;
  if (error instanceof CommanderError) return error.exitCode;
  return exitStatus.failed;
}

/** What standard error says of a failure: one line, or for a configuration one for each mistake, as compilers do
 *  (`FILE:LINE:COL: ...`, so that editors jump there). Never a stack. */
export function failureLines(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.complaints.map(complaintLine);
  const message = error instanceof Error ? error.message : String(error);
  return [`havrrp: ${message.replaceAll(/\s*\n\s*/g, ' ')}`];
}
