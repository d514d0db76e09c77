import { lookup, type LookupOptions } from 'node:dns';
import { connect } from 'node:net';
import type { Native } from '../../net/native.ts';
import type { Look } from './poller.ts';
import type { Finding } from './verdict.ts';

/** Reasons on our side of the wire: they say nothing about the target. */
const ownReasons = new Set(['EACCES', 'EPERM', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);

/** For each of several addresses of a name, before the next is tried as well. */
const attemptMs = 1000;

/** Passes while a connection is accepted; it is closed again at once, and nothing is said on it. */
export function lookAtTcp(
  native: Native,
  { host, port }: { readonly host: string; readonly port: number },
): Look {
  const name = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return async (signal) => {
    const startedAt = native.now();
    /** A resolver cannot be interrupted; the look has not ended before it has, so that a dead one holds one thread and not all. */
    let resolving: Promise<void> = Promise.resolve();
    const finding = await new Promise<Finding>((resolve) => {
      const socket = connect({
        host,
        port,
        // Of several addresses Node would give each a quarter of a second.
        autoSelectFamilyAttemptTimeout: attemptMs,
        lookup: (hostname, options: LookupOptions, callback) => {
          resolving = new Promise((resolved) => {
            lookup(hostname, options, (error, address, family) => {
              resolved();
              callback(error, address, family);
            });
          });
        },
      });
      const end = (found: Finding): void => {
        resolve(found);
        socket.destroy();
      };
      signal.addEventListener('abort', () => end({ result: 'fail', detail: `no answer from ${name}` }), {
        once: true,
      });
      // Also after the end: a connection that is on its way when it is given up.
      socket.on('error', (error) => end(failure(name, error)));
      socket.once('connect', () => {
        end({ result: 'pass', detail: `${name} accepted in ${(native.now() - startedAt).toFixed(1)} ms` });
      });
    });
    await resolving;
    return finding;
  };
}

/** A name with several addresses fails with one error for each (Happy Eyeballs, RFC 8305). */
function codesOf(error: Error): readonly string[] {
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  const codes = errors.map((each) =>
    each instanceof Error && 'code' in each ? String(each.code) : String(each),
  );
  return [...new Set(codes)];
}

function failure(name: string, error: Error): Finding {
  const codes = codesOf(error);
  const detail = `${name}: ${codes.join(', ')}`;
  if (codes.some((code) => code === 'ENOTFOUND' || code.startsWith('EAI_'))) {
    return { result: 'error', detail: `the name in ${name} has no address (${codes.join(', ')})` };
  }
  return { result: codes.every((code) => ownReasons.has(code)) ? 'error' : 'fail', detail };
}
