import { InvalidArgumentError, type Command } from 'commander';
import { parseDuration } from '../config/duration.ts';
import { checkConfig, readConfig } from '../config/load.ts';
import { maxOctets } from '../config/yaml-text.ts';
import { demote, followEvents, getStatus, promote, reload } from '../control/client.ts';
import type { DemoteReply, DemoteRequest, GroupStatus, Status } from '../control/messages.ts';
import { ConfigError, ControlError } from '../errors.ts';
import { exitStatus, exitStatusOf } from './exit-status.ts';
import { fail, socketPath, type CommandIo, type CommonOptions } from './program.ts';
import { renderEvent, renderStatus, type RenderOptions } from './render.ts';

/** The group asked for, or all of them.
 *  @throws ControlError `no_such_group` */
function pickGroups({ groups }: Status, name: string | undefined): readonly GroupStatus[] {
  if (name === undefined) return groups;
  const picked = groups.filter((group) => group.name === name);
  if (picked.length > 0) return picked;
  const names = groups.map((group) => group.name).join(', ');
  const fix = names === '' ? 'the configuration has no groups' : `the groups are ${names}`;
  throw new ControlError('no_such_group', { what: `there is no group ${JSON.stringify(name)}`, fix });
}

/** Asks for several groups at once, each at its own pace, and says how it went in the order of the groups.
 *  The exit status is the first that is not 0. */
async function forEachGroup<Reply>(
  io: CommandIo,
  groups: readonly GroupStatus[],
  ask: (group: GroupStatus) => Promise<Reply>,
  report: (reply: Reply) => void,
): Promise<void> {
  const results = await Promise.allSettled(groups.map(ask));
  for (const result of results) {
    if (result.status === 'fulfilled') report(result.value);
    else {
      fail(io, result.reason);
      if (io.exitStatus === exitStatus.ok) io.exitStatus = exitStatusOf(result.reason);
    }
  }
}

function readDuration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0)
    throw new InvalidArgumentError('Use 30s, 5m, 1.5h or a number of seconds above 0.');
  return ms;
}

interface StatusOptions extends CommonOptions {
  readonly json?: true;
  readonly watch?: true;
}

/** Text of one `status`, in the form asked for. */
function statusText(
  status: Status,
  group: string | undefined,
  options: StatusOptions,
  io: CommandIo,
): string {
  const shown = { ...status, groups: pickGroups(status, group) };
  if (options.json) return `${JSON.stringify(shown, undefined, options.watch ? 0 : 2)}\n`;
  const { isTTY = false, columns = 80 } = io.stdout;
  const render: RenderOptions = {
    now: Date.now(),
    columns: Math.max(80, Math.min(columns, 120)),
    colour: isTTY && (io.env['NO_COLOR'] ?? '') === '',
  };
  return renderStatus(shown, render);
}

/** Draws again at every event, on a terminal also every second, for the counters. */
async function watchStatus(group: string | undefined, options: StatusOptions, io: CommandIo): Promise<void> {
  const path = socketPath(options);
  const redraws = io.stdout.isTTY === true && !options.json;
  let isFirst = true;
  const draw = async (): Promise<void> => {
    const text = statusText(await getStatus(path), group, options, io);
    // Home, every line cleared to its end, the rest of the screen cleared: a table that changes without flicker.
    if (redraws)
      io.stdout.write(`${isFirst ? '\x1b[2J' : ''}\x1b[H${text.replaceAll('\n', '\x1b[K\n')}\x1b[J`);
    else io.stdout.write(isFirst || options.json ? text : `\n${text}`);
    isFirst = false;
  };
  let isLive = false;
  const everySecond = setInterval(() => {
    // A daemon that is gone ends the stream below too, and that says it.
    if (redraws && isLive) draw().catch(() => undefined);
  }, 1000);
  try {
    for await (const item of followEvents(path)) {
      isLive ||= item.type === 'snapshot-end';
      if (isLive) await draw();
    }
  } finally {
    clearInterval(everySecond);
  }
  throw stopped(path);
}

function stopped(path: string): ControlError {
  return new ControlError('not_running', {
    what: 'the daemon stopped',
    where: path,
    fix: 'see journalctl -u havrrp',
  });
}

interface DemoteOptions extends CommonOptions {
  readonly for?: number;
  readonly persist?: true;
  readonly hard?: true;
  readonly force?: true;
  readonly wait: boolean;
}

/** The leaving master waits 3 x interval + skew for its successor, skew at most one interval; the rest is for a daemon
 *  that has other things to do as well. */
function handoverTimeoutMs({ instances }: GroupStatus): number {
  return 4 * Math.max(0, ...instances.map(({ interval_ms }) => interval_ms)) + 10_000;
}

async function demoteGroups(name: string | undefined, options: DemoteOptions, io: CommandIo): Promise<void> {
  const path = socketPath(options);
  const request: DemoteRequest = {
    ...(options.for !== undefined && { for_ms: options.for }),
    ...(options.persist && { persist: true }),
    ...(options.hard && { hard: true }),
    ...(options.force && { force: true }),
    wait: options.wait,
  };
  const groups = pickGroups(await getStatus(path), name);
  await forEachGroup(
    io,
    groups,
    (group) => demote(path, group.name, request, handoverTimeoutMs(group)),
    ({ outcome, text }: DemoteReply) => {
      if (outcome === 'nobody_took_over') {
        io.stderr.write(`havrrp: ${text}\n`);
        io.exitStatus = exitStatus.notHandedOver;
      } else io.stdout.write(`${text}\n`);
    },
  );
}

async function promoteGroups(name: string | undefined, options: CommonOptions, io: CommandIo): Promise<void> {
  const path = socketPath(options);
  const groups = pickGroups(await getStatus(path), name);
  await forEachGroup(
    io,
    groups,
    (group) => promote(path, group.name),
    ({ text }) => io.stdout.write(`${text}\n`),
  );
}

async function reloadDaemon(options: CommonOptions, io: CommandIo): Promise<void> {
  try {
    const { changes } = await reload(socketPath(options));
    const lines =
      changes.length === 0 ? ['nothing to change: the configuration is the one in force'] : changes;
    for (const line of lines) io.stdout.write(`${line}\n`);
  } catch (error) {
    fail(io, error);
    if (!(error instanceof ConfigError)) return void (io.exitStatus = exitStatusOf(error));
    io.stderr.write(
      'havrrp: not reloaded: the configuration before stays in force: mend the above and try again\n',
    );
    io.exitStatus = exitStatus.badConfiguration;
  }
}

/** No more of it than shows that it is too long. */
async function readInput(stdin: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stdin) {
    const octets = Buffer.from(chunk);
    chunks.push(octets);
    length += octets.length;
    if (length > maxOctets) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function checkFile(file: string, io: CommandIo): Promise<void> {
  const name = file === '-' ? '<stdin>' : file;
  if (file === '-') await checkConfig(await readInput(io.stdin), name);
  else await readConfig(file);
  io.stdout.write(`${name}: the configuration is good\n`);
}

async function printEvents(
  options: CommonOptions & { follow?: true; json?: true },
  io: CommandIo,
): Promise<void> {
  const path = socketPath(options);
  for await (const item of followEvents(path)) {
    if (item.type === 'event') {
      io.stdout.write(`${options.json ? JSON.stringify(item.event) : renderEvent(item.event)}\n`);
    } else if (!options.follow) return;
  }
  throw stopped(path);
}

/** The commands that ask a running daemon, and `check`, which needs none. */
export function registerClientCommands(program: Command, io: CommandIo): void {
  program
    .command('status')
    .description('groups, their state and its reason, instances, addresses, counters')
    .argument('[group]', 'only this group')
    .option('--json', 'as JSON')
    .option('--watch', 'again at every change, until interrupted')
    .action(async (group: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<StatusOptions>();
      if (options.watch) return watchStatus(group, options, io);
      io.stdout.write(statusText(await getStatus(socketPath(options)), group, options, io));
    });
  program
    .command('demote')
    .description('hand over to another node and stay the last choice until promoted')
    .argument('[group]', 'only this group; without it, every group')
    .option('--for <duration>', 'promote by itself after this long (30s, 5m, 1h)', readDuration)
    .option('--persist', 'also after a restart of the daemon or the host')
    .option('--hard', 'leave the election instead of being the last choice')
    .option('--force', 'even if the other node is known to be unready')
    .option('--no-wait', 'do not wait until somebody else is master')
    .action((group: string | undefined, _options: unknown, command: Command) =>
      demoteGroups(group, command.optsWithGlobals<DemoteOptions>(), io),
    );
  program
    .command('promote')
    .description('take the demotion back')
    .argument('[group]', 'only this group; without it, every group')
    .action((group: string | undefined, _options: unknown, command: Command) =>
      promoteGroups(group, command.optsWithGlobals<CommonOptions>(), io),
    );
  program
    .command('reload')
    .description('check the configuration and apply what changed; on any error the one before stays')
    .action((_options: unknown, command: Command) =>
      reloadDaemon(command.optsWithGlobals<CommonOptions>(), io),
    );
  program
    .command('check')
    .description('validate a configuration: every error as FILE:LINE:COL: message')
    .argument('[file]', 'the file, - for standard input (default: the one of --config)')
    .action((file: string | undefined, _options: unknown, command: Command) =>
      checkFile(file ?? command.optsWithGlobals<CommonOptions>().config, io),
    );
  program
    .command('events')
    .description('what happened and why, oldest first')
    .option('--follow', 'and what happens from now on, until interrupted')
    .option('--json', 'one JSON object for each line')
    .action((_options: unknown, command: Command) =>
      printEvents(command.optsWithGlobals<CommonOptions & { follow?: true; json?: true }>(), io),
    );
}
