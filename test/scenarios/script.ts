import assert from 'node:assert/strict';
import { groupState } from '../../src/protocol/group.ts';
import { reasonText } from '../../src/protocol/reason.ts';
import { type Direction, VirtualLan, clock } from './virtual-lan.ts';
import type { GroupPlan, Happening, Link, VirtualNode } from './virtual-node.ts';

/** Runs a scenario: blocks of commands, `----`, and what they make happen. The whole text is made anew from the commands, so that
 *  it can be compared with the file, or replace it.
 *
 *  | command | does |
 *  |---|---|
 *  | `node fw1 [group red] priority 150 [interval 1000] [preempt off] on wan lan/ipv6 dmz/both` | configures a group of a node |
 *  | `start fw1 fw2`, `resume fw1` | starts the daemon; `resume`: it was killed as master a moment ago |
 *  | `run until 5000`, `run for 1000` | lets time pass, in milliseconds |
 *  | `crash fw1`, `kill fw1` | the host goes; the process goes and leaves its addresses |
 *  | `stop fw1 [at once] [removed]` | planned stop: hands over first; `removed`: the group left the configuration |
 *  | `demote fw1 [hard]`, `promote fw1` | as the operator's commands |
 *  | `track fw1 ping 60` | a tracker demotes by 60; 0 takes it back |
 *  | `down fw1 wan`, `up fw1 wan` | the link fails: a fault and a cut |
 *  | `cut fw1 wan [in or out]`, `heal fw1 wan` | datagrams are lost, and nobody notices; `wan/ipv6` for one family |
 *  | `freeze fw1 [queue 8]`, `thaw fw1` | SIGSTOP and SIGCONT; datagrams queue up, the first 8 of them |
 *  | `lose 1 from fw2 on wan` | the next datagrams are lost |
 *  | `loss 30% seed 7`, `delay 0.1`, `timers 0.3 late` | the wire and the clocks |
 *  | `allow 1001 ms of two masters` | on a connected segment, where none hands over; 0.5 otherwise |
 *  | `reload fw1 ...` | as `node`, applied to the running group |
 *  | `show states`, `alarms`, `counters` or `clients` | prints |
 *
 *  `fw1/red` means one group of a node, `fw1` all of them. */
export function runScript(text: string): { readonly text: string; readonly broken: string | undefined } {
  const script = new Script();
  const blocks: string[] = [];
  let broken: string | undefined;
  for (const block of text.trim().split(/\n\s*\n/)) {
    const [head = ''] = block.split('\n----');
    if (!block.includes('\n----')) {
      blocks.push(head);
      continue;
    }
    const lines = head.split('\n');
    try {
      for (const line of lines) if (!line.startsWith('#')) script.command(line);
    } catch (error) {
      broken = error instanceof Error ? error.message : String(error);
    }
    const output = script.takeLines();
    if (broken !== undefined) output.push(`broken: ${broken}`);
    blocks.push([head, '----', ...(output.length === 0 ? ['ok'] : output)].join('\n'));
    if (broken !== undefined) break;
  }
  return { text: `${blocks.join('\n\n')}\n`, broken };
}

class Script {
  #lines: string[] = [];
  readonly #lan = new VirtualLan(
    (happening) => this.#lines.push(...describe(happening, this.#lan.now())),
    (line) => this.#lines.push(line),
  );

  takeLines(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  command(line: string): void {
    const [verb = '', ...words] = line.trim().split(/\s+/);
    const run = commands[verb];
    assert(run !== undefined, `no such command: ${line}`);
    run(this.#lan, words, this.#lines);
    this.#lan.settle();
  }
}

type Command = (lan: VirtualLan, words: readonly string[], lines: string[]) => void;

const commands: Readonly<Record<string, Command>> = {
  node: (lan, [name = '', ...words]) => {
    (lan.nodes.get(name) ?? lan.addNode(name)).plan(planFrom(words));
  },
  reload: (lan, [name = '', ...words]) => {
    lan.node(name).reload(planFrom(words));
  },
  start: (lan, names) => {
    for (const name of names) lan.node(name).start(false);
  },
  resume: (lan, names) => {
    for (const name of names) lan.node(name).start(true);
  },
  run: (lan, [how, ms]) => {
    lan.run((how === 'for' ? lan.now() : 0) + numberOf(ms));
  },
  crash: (lan, [name = '']) => {
    lan.node(name).crash();
  },
  kill: (lan, [name = '']) => {
    lan.node(name).kill();
  },
  stop: (lan, [target = '', ...words]) => {
    const reason = { code: words.includes('removed') ? 'removed' : 'shutdown' } as const;
    eachGroup(lan, target, (node, group) => {
      node.stop(group, !words.includes('once'), reason);
    });
  },
  demote: (lan, [target = '', hard]) => {
    eachGroup(lan, target, (node, group) => {
      node.setDemotion(group, 'operator', { value: 254, hard: hard === 'hard' });
    });
  },
  promote: (lan, [target = '']) => {
    eachGroup(lan, target, (node, group) => {
      node.setDemotion(group, 'operator', undefined);
    });
  },
  track: (lan, [target = '', tracker = '', value]) => {
    const demotion = value === '0' ? undefined : { value: numberOf(value), hard: false };
    eachGroup(lan, target, (node, group) => {
      node.setDemotion(group, tracker, demotion);
    });
  },
  hold: (lan, [target = '', , until]) => {
    eachGroup(lan, target, (node, group) => {
      node.step(group, { type: 'hold', until: numberOf(until) });
    });
  },
  tolerate: (lan, [target = '', ...why]) => {
    eachGroup(lan, target, (node, group) => {
      const hold = why.length === 0 ? undefined : why.join(' ');
      node.step(group, { type: 'preemption-hold-changed', hold });
    });
  },
  down: (lan, [target = '', segment = '']) => {
    const fault = { code: 'link_down', text: `${segment} has no carrier` };
    const [name = ''] = target.split('/');
    lan.cut(lan.node(name), segment, 'in', 'out');
    eachGroup(lan, target, (node, group) => {
      node.setFault(group, segment, fault);
    });
  },
  up: (lan, [target = '', segment = '']) => {
    const [name = ''] = target.split('/');
    lan.heal(lan.node(name), segment);
    eachGroup(lan, target, (node, group) => {
      node.setFault(group, segment, undefined);
    });
  },
  cut: (lan, [name = '', segment = '', direction]) => {
    const directions: readonly Direction[] =
      direction === 'in' || direction === 'out' ? [direction] : ['in', 'out'];
    lan.cut(lan.node(name), segment, ...directions);
  },
  heal: (lan, [name = '', ...segments]) => {
    for (const segment of segments) lan.heal(lan.node(name), segment);
  },
  freeze: (lan, [name = '', , queue]) => {
    lan.node(name).queueLength = queue === undefined ? Infinity : numberOf(queue);
    lan.node(name).freeze();
  },
  thaw: (lan, [name = '']) => {
    lan.node(name).thaw();
  },
  lose: (lan, [count, , name = '', , segment = '']) => {
    lan.loseNext(numberOf(count), lan.node(name), segment);
  },
  loss: (lan, [percent = '', , seed]) => {
    lan.loss = numberOf(percent.replace('%', '')) / 100;
    if (seed !== undefined) lan.seed(numberOf(seed));
  },
  delay: (lan, [ms]) => {
    lan.delayMs = numberOf(ms);
  },
  timers: (lan, [ms]) => {
    lan.timerLateMs = numberOf(ms);
  },
  allow: (lan, [ms]) => {
    lan.service.overlapLimitMs = numberOf(ms);
  },
  show: (lan, [what], lines) => {
    lines.push(
      ...(what === 'clients' ? lan.service.deceived() : [...lan.nodes.values()].flatMap(showing(what))),
    );
  },
};

function numberOf(word: string | undefined): number {
  const value = Number(word);
  assert(word !== undefined && Number.isFinite(value), `not a number: ${word}`);
  return value;
}

/** @param target `fw1` or `fw1/red` */
function eachGroup(lan: VirtualLan, target: string, act: (node: VirtualNode, group: string) => void): void {
  const [name = '', only] = target.split('/');
  const node = lan.node(name);
  for (const group of node.groups.keys()) if (only === undefined || only === group) act(node, group);
}

/** @param words `priority 150 on wan lan/both` */
function planFrom(words: readonly string[]): GroupPlan {
  const on = words.indexOf('on');
  const before = words.slice(0, on);
  const after = (key: string): string | undefined => before[before.indexOf(key) + 1];
  const has = (key: string): boolean => before.includes(key);
  assert(on >= 0 && has('priority'), `a node has a priority and is on segments: ${words.join(' ')}`);
  return {
    name: has('group') ? (after('group') ?? '') : 'edge',
    priority: numberOf(after('priority')),
    intervalMs: has('interval') ? numberOf(after('interval')) : 1000,
    preempt: !has('preempt') || after('preempt') !== 'off',
    preemptDelayMs: has('preempt') && after('preempt') !== 'off' ? numberOf(after('preempt')) : 0,
    takeover: after('takeover') === 'any' ? 'any' : 'all',
    links: words.slice(on + 1).flatMap((word): Link[] => {
      const [segment = '', families = 'ipv4'] = word.split('/');
      const four = families === 'ipv4' || families === 'both' ? [{ segment, family: 'ipv4' as const }] : [];
      const six = families === 'ipv6' || families === 'both' ? [{ segment, family: 'ipv6' as const }] : [];
      return [...four, ...six];
    }),
  };
}

function titleOf(node: VirtualNode, group: string): string {
  return node.plans.length > 1 ? `${node.name}/${group}` : node.name;
}

function showing(what: string | undefined): (node: VirtualNode) => string[] {
  switch (what) {
    case 'states':
      return (node) =>
        node.isUp
          ? [...node.groups].map(([name, group]) => {
              const members = [...group.members].map(([id, { state }]) => `${id} ${state.name}`);
              const frozen = node.frozen ? ', frozen' : '';
              return `${titleOf(node, name)}: ${groupState(group)} (${members.join(', ')})${frozen}`;
            })
          : [`${node.name}: off${node.held.size > 0 ? `, still holds ${[...node.held].join(', ')}` : ''}`];
    case 'alarms':
      return (node) => node.alarms().map((alarm) => `${node.name}: ${alarm}`);
    case 'counters':
      return (node) =>
        [...node.counters].map(([id, { sent, received, discarded }]) => {
          const reasons = [...discarded].map(([reason, count]) => `, ${reason} ${count}`);
          return `${node.name} ${id}: sent ${sent}, received ${received}${reasons.join('')}`;
        });
    default:
      throw new Error(`nothing to show: ${what}`);
  }
}

/** The actions of a step in their order, those of one kind together: `says priority 150 on wan, lan`. */
function phrasesOf({ actions }: Happening): string[] {
  const phrases: { verb: string; ids: string[] }[] = [];
  for (const action of actions) {
    if (action.type === 'report-transition') continue;
    const verb =
      action.type === 'send-advertisement'
        ? `says priority ${action.priority} on`
        : { 'claim-addresses': 'claims', 'announce-addresses': 'announces', 'release-addresses': 'releases' }[
            action.type
          ];
    const last = phrases.at(-1);
    if (last?.verb === verb) last.ids.push(action.id);
    else phrases.push({ verb, ids: [action.id] });
  }
  return phrases.map(({ verb, ids }) => `${verb} ${ids.join(', ')}`);
}

function describe(happening: Happening, now: number): string[] {
  const { node, group, actions, routine, handover, state } = happening;
  const who = `at ${clock(now)} ${titleOf(node, group)}`;
  const transitions = actions.flatMap((action) =>
    action.type === 'report-transition'
      ? `${who} ${action.from} -> ${action.to} (${reasonText(action.reason)})`
      : [],
  );
  const phrases = routine ? [] : phrasesOf(happening);
  if (handover === 'begun') phrases.push('serves on until a successor is heard');
  if (handover === 'ended' && state === 'master') phrases.push('is still master: nobody took over');
  return phrases.length === 0 ? transitions : [...transitions, `${who} ${phrases.join('; ')}`];
}
