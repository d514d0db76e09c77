import type { Host } from '../facts.ts';
import type { Finding } from './verdict.ts';

/** Passes while the interface can carry packets, as the kernel told us: nobody has to ask. */
export function lookAtInterface(host: Pick<Host, 'link'>, name: string): Finding {
  const link = host.link(name);
  if (link === undefined) {
    return { result: 'fail', detail: `there is no interface ${name}`, code: 'interface_missing' };
  }
  if (link.up) return { result: 'pass', detail: `${name} is up` };
  const detail = link.adminUp ? `${name} has no carrier` : `${name} is set down`;
  return { result: 'fail', detail, code: 'link_down' };
}
