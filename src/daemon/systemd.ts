import type { Native } from '../net/native.ts';

/** sd_notify(3): does nothing where systemd did not start us. */
export class Systemd {
  readonly #native: Native;
  readonly #path: string | undefined;

  constructor(native: Native, environment: NodeJS.ProcessEnv) {
    this.#native = native;
    this.#path = environment['NOTIFY_SOCKET'];
  }

  ready(): void {
    this.#notify('READY=1');
  }

  reloading(now: number): void {
    this.#notify(`RELOADING=1\nMONOTONIC_USEC=${Math.round(now * 1000)}`);
  }

  stopping(): void {
    this.#notify('STOPPING=1');
  }

  /** One line for `systemctl status`. */
  status(text: string): void {
    this.#notify(`STATUS=${text}`);
  }

  #notify(message: string): void {
    if (this.#path !== undefined) this.#native.sdNotify(this.#path, message);
  }
}
