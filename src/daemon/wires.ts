import type { Logger } from 'pino';
import { KernelError } from '../errors.ts';
import type { Kernel, Link } from '../net/kernel.ts';
import type { Native } from '../net/native.ts';
import { FrameSocket, PacketSocket, type Packet } from '../net/packet-socket.ts';
import { type Family, advertisementGroup, vrrpProtocol } from '../protocol/address.ts';
import type { Fault } from '../protocol/reason.ts';

/** What the groups need of the wire: one raw socket for each interface and family in use, one packet socket for each
 *  interface. They follow the interfaces: a link that was deleted and made again gets new ones. */

export interface WireNeed {
  readonly interface: string;
  readonly family: Family;
  readonly vrids: readonly number[];
}

interface Wire {
  readonly interfaceIndex: number;
  readonly socket: PacketSocket;
  vrids: string;
}

interface Frames {
  readonly interfaceIndex: number;
  readonly socket: FrameSocket;
}

/** Why a wire could not be opened, in words for the operator. */
function openFault(error: unknown): Fault {
  if (!(error instanceof KernelError)) throw error;
  if (error.code === 'EPERM' || error.code === 'EACCES') {
    return {
      code: 'no_permission',
      text: `not allowed to open raw sockets (${error.message}): run havrrp as root or with CAP_NET_RAW and CAP_NET_ADMIN`,
    };
  }
  return { code: 'socket_failed', text: error.message };
}

export class Wires {
  readonly #native: Native;
  readonly #kernel: Kernel;
  readonly #log: Logger;
  readonly #onPacket: (interfaceName: string, family: Family, packet: Packet) => void;
  readonly #wires = new Map<string, Wire>();
  readonly #frames = new Map<string, Frames>();
  readonly #faults = new Map<string, Fault>();

  constructor(options: {
    native: Native;
    kernel: Kernel;
    log: Logger;
    onPacket: (interfaceName: string, family: Family, packet: Packet) => void;
  }) {
    this.#native = options.native;
    this.#kernel = options.kernel;
    this.#log = options.log;
    this.#onPacket = options.onPacket;
  }

  /** Opens what is needed and not open, closes what is open and not needed; safe to repeat after every change. */
  reconcile(needs: readonly WireNeed[], frameInterfaces: ReadonlySet<string>): void {
    this.#faults.clear();
    const wanted = new Map(needs.map((need) => [`${need.interface}/${need.family}`, need]));
    for (const [key, wire] of this.#wires) {
      const need = wanted.get(key);
      const index = need === undefined ? undefined : this.#kernel.link(need.interface)?.index;
      if (index === wire.interfaceIndex) continue;
      wire.socket.close();
      this.#wires.delete(key);
    }
    for (const [name, { interfaceIndex, socket }] of this.#frames) {
      if (frameInterfaces.has(name) && this.#kernel.link(name)?.index === interfaceIndex) continue;
      socket.close();
      this.#frames.delete(name);
    }
    for (const [key, need] of wanted) this.#bring(key, need);
    for (const name of frameInterfaces) this.#bringFrames(name);
  }

  #bring(key: string, need: WireNeed): void {
    const link = this.#kernel.link(need.interface);
    if (link === undefined) return;
    try {
      const wire = this.#wires.get(key) ?? this.#open(key, need, link);
      const vrids = need.vrids.join();
      if (wire.vrids === vrids) return;
      wire.socket.setVrids(need.vrids);
      wire.vrids = vrids;
    } catch (error) {
      this.#faults.set(key, openFault(error));
    }
  }

  #open(key: string, need: WireNeed, link: Link): Wire {
    const { family } = need;
    const socket = PacketSocket.open({
      native: this.#native,
      family,
      interfaceName: link.name,
      interfaceIndex: link.index,
      protocol: vrrpProtocol,
      group: advertisementGroup[family],
      onPacket: (packet) => {
        this.#onPacket(link.name, family, packet);
      },
      onError: (error) => {
        // ENETDOWN and its like: the link's own notification, which changes the facts, comes by netlink.
        this.#log.debug({ interface: link.name, family, error: error.message }, 'receiving failed');
      },
    });
    const wire: Wire = { interfaceIndex: link.index, socket, vrids: '' };
    this.#wires.set(key, wire);
    return wire;
  }

  #bringFrames(name: string): void {
    const link = this.#kernel.link(name);
    if (link === undefined || this.#frames.has(name)) return;
    try {
      const socket = FrameSocket.open(this.#native, link.index);
      this.#frames.set(name, { interfaceIndex: link.index, socket });
    } catch (error) {
      this.#faults.set(`${name}/ipv4`, openFault(error));
      this.#faults.set(`${name}/ipv6`, openFault(error));
    }
  }

  /** Why there is no socket although the interface is there. */
  fault(interfaceName: string, family: Family): Fault | undefined {
    return this.#faults.get(`${interfaceName}/${family}`);
  }

  /** Takes in everything that has arrived so far. */
  drain(interfaceName: string, family: Family): void {
    this.#wires.get(`${interfaceName}/${family}`)?.socket.drain();
  }

  /** @throws KernelError ENODEV where there is no socket, or what the kernel says */
  send(interfaceName: string, family: Family, bytes: Uint8Array, source: string): void {
    const wire = this.#wires.get(`${interfaceName}/${family}`);
    if (wire === undefined) {
      throw new KernelError({ errno: 19, code: 'ENODEV', operation: 'send on', target: interfaceName });
    }
    wire.socket.send(bytes, { source, destination: advertisementGroup[family] });
  }

  /** @throws KernelError, as `send` */
  sendFrames(interfaceName: string, frames: readonly Uint8Array[]): void {
    const wire = this.#frames.get(interfaceName);
    if (wire === undefined) {
      throw new KernelError({
        errno: 19,
        code: 'ENODEV',
        operation: 'send frames on',
        target: interfaceName,
      });
    }
    wire.socket.send(frames);
  }

  /** How many packets the kernel filter refused and nobody could look at (a flood): known by number only. */
  unexamined(interfaceName: string, family: Family): number {
    return this.#wires.get(`${interfaceName}/${family}`)?.socket.unexamined ?? 0;
  }

  close(): void {
    for (const { socket } of this.#wires.values()) socket.close();
    for (const { socket } of this.#frames.values()) socket.close();
    this.#wires.clear();
    this.#frames.clear();
  }
}
