/** What went wrong, where, and what to do about it: the three parts of every sentence an operator gets to read. */
export interface Complaint {
  /** The place: `havrrp.yaml:14:15`, `eth0`, `/run/havrrp/control.sock`. */
  readonly where?: string;
  readonly what: string;
  readonly fix?: string;
}

function sentence({ what, where, fix }: Complaint): string {
  return [what, where, fix].filter((part) => part !== undefined).join(': ');
}

/** The operator's file is wrong. Carries every complaint of the file, in the order of the file. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly complaints: readonly Complaint[];

  constructor(complaints: readonly Complaint[]) {
    super(complaints.map(sentence).join('\n'));
    this.complaints = complaints;
  }
}

export type ControlErrorCode =
  | 'not_running'
  | 'already_running'
  | 'no_such_group'
  | 'bad_request'
  | 'not_handed_over'
  | 'no_permission'
  | 'no_answer';

/** A control request that cannot be served. `code` decides the exit status and the HTTP status. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly code: ControlErrorCode;

  constructor(code: ControlErrorCode, complaint: Complaint) {
    super(sentence(complaint));
    this.code = code;
  }
}

/** The kernel said no: which operation, on what, with which errno. */
export class KernelError extends Error {
  override readonly name = 'KernelError';
  /** Positive errno, such as 1 for EPERM. */
  readonly errno: number;
  /** `EPERM`, `ENODEV`, ... */
  readonly code: string;
  readonly operation: string;
  readonly target: string;

  constructor(failure: {
    errno: number;
    code: string;
    operation: string;
    target: string;
    /** The kernel's own sentence (netlink extended ack), where it gave one. */
    detail?: string;
  }) {
    const { errno, code, operation, target, detail } = failure;
    super(`${operation} ${target}: ${code}${detail === undefined ? '' : ` (${detail})`}`);
    this.errno = errno;
    this.code = code;
    this.operation = operation;
    this.target = target;
  }
}

/** Closes a switch over a union: the compiler refuses the call while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
