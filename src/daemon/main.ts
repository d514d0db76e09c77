import { pino } from 'pino';
import { readConfig } from '../config/load.ts';
import { ConfigError } from '../errors.ts';
import { loadNative } from '../net/native.ts';
import { Daemon } from './daemon.ts';

/** Log lines waiting for a reader beyond this are dropped: a stuck journal must not stop the Advertisements. */
const maxQueuedLogBytes = 1024 * 1024;

/** Runs the daemon until a signal ends it: SIGTERM and SIGINT hand over and stop (a second one stops at once), SIGHUP reloads.
 *  @param file the configuration
 *  @throws ConfigError before anything was started, ControlError when another daemon runs */
export async function runDaemon(file: string, version: string): Promise<void> {
  const config = await readConfig(file);
  const destination = pino.destination({ dest: 1, sync: false, maxLength: maxQueuedLogBytes });
  const log = pino({ level: config.logLevel, base: { node: config.node } }, destination);
  const native = loadNative();
  const daemon = await Daemon.start({ config, native, log, version, readConfig: () => readConfig(file) });
  const reload = (): void => {
    daemon.reload().catch((error: unknown) => {
      const complaints = error instanceof ConfigError ? error.message.split('\n') : undefined;
      log.error(
        { complaints, error: String(error) },
        'not reloaded: the configuration before stays in force',
      );
    });
  };
  process.on('SIGHUP', reload);
  await new Promise<void>((resolve, reject) => {
    let stopping = false;
    const stop = (signal: NodeJS.Signals): void => {
      log.info({ signal }, stopping ? 'stopping at once' : 'handing over and stopping');
      daemon.stop({ planned: !stopping }).then(resolve, reject);
      stopping = true;
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
  log.info('stopped');
  await new Promise<void>((resolve) => {
    log.flush(() => {
      resolve();
    });
  });
}
