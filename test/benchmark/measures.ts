import { setTimeout as delay } from 'node:timers/promises';
import { isAnnouncementOf } from '../bench/fields.ts';
import { outages, Probe } from '../bench/probe.ts';
import type { contestants } from './contestants.ts';
import type { Stage } from './stage.ts';
import { virtualAddress } from './stage.ts';
import { median, percentile } from './statistics.ts';

export type Contestant = (typeof contestants)[string];

/** One line of the table. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: 'ms' | 'x' | 'probes' | 'MiB';
  /** What havrrp has to keep (`Speed and memory` of the project). */
  readonly atMost?: number;
}

export interface Measure {
  readonly what: string;
  readonly runs: number;
  readonly take: (stage: Stage, make: Contestant, runs: number) => Promise<readonly Figure[]>;
}

/** Long enough for a start, and for the preferred router to take its role back. */
const settleWithinMs = 15_000;

export const measures: Readonly<Record<string, Measure>> = {
  'crash-100': { what: 'crash, adverts every 100 ms', runs: 20, take: crash(100, 1.03) },
  'crash-10': { what: 'crash, adverts every 10 ms', runs: 20, take: crash(10, 1.15) },
  stop: { what: 'planned stop, adverts every 1 s', runs: 5, take: plannedStop(1000) },
  steady: { what: 'steady, adverts every 10 ms', runs: 1, take: steady(10, 20_000) },
};

/** The master is killed with -9: when does the other one's first advertisement come, and what follows it? */
function crash(intervalMs: number, atMost: number): Measure['take'] {
  return async (stage, make, runs) => {
    const takeovers: { ratio: number; addressMs: number; announcementMs: number }[] = [];
    await using other = await make(stage.host('other'), stage.plan('other', intervalMs));
    await using address = await stage.watchAddress('other');
    for (let run = 0; run < runs; run++) {
      await using preferred = await make(stage.host('preferred'), stage.plan('preferred', intervalMs));
      await stage.settled('preferred', settleWithinMs);
      // Anywhere between two advertisements.
      await delay(Math.random() * intervalMs);
      stage.capture.skip();
      address.skip();
      const added = address.added(settleWithinMs);
      await preferred.crash();
      const first = await stage.capture.nextAdvert(stage.isFrom('other'), { withinMs: settleWithinMs });
      const announcement = await stage.capture.next((frame) => isAnnouncementOf(frame, virtualAddress), {
        withinMs: settleWithinMs,
        what: 'a gratuitous ARP',
      });
      const last = stage.capture.all('advert').findLast(stage.isFrom('preferred'));
      if (last === undefined) throw new Error(`no advertisement of the preferred router:\n${other.log}`);
      takeovers.push({
        ratio: (first.at - last.at) / stage.masterDownIntervalMs('other', intervalMs),
        addressMs: (await added) - first.at,
        announcementMs: announcement.at - first.at,
      });
    }
    const ratios = takeovers.map(({ ratio }) => ratio);
    const figure = (what: string, unit: Figure['unit'], value: number, limit?: number): Figure =>
      limit === undefined ? { what, unit, value } : { what, unit, value, atMost: limit };
    const addresses = takeovers.map(({ addressMs }) => addressMs);
    const announcements = takeovers.map(({ announcementMs }) => announcementMs);
    return [
      figure('takeover / master-down interval, median', 'x', median(ratios), atMost),
      figure('takeover / master-down interval, worst', 'x', percentile(ratios, 1)),
      figure('first advert to address, median', 'ms', median(addresses), 3),
      figure('first advert to address, worst', 'ms', percentile(addresses, 1)),
      figure('first advert to first GARP, median', 'ms', median(announcements), 3),
      figure('first advert to first GARP, worst', 'ms', percentile(announcements, 1)),
    ];
  };
}

/** The master is asked to stop while a client asks the virtual address every 5 ms. */
function plannedStop(intervalMs: number): Measure['take'] {
  return async (stage, make, runs) => {
    const lost: number[] = [];
    await using other = await make(stage.host('other'), stage.plan('other', intervalMs));
    for (let run = 0; run < runs; run++) {
      await using preferred = await make(stage.host('preferred'), stage.plan('preferred', intervalMs));
      await stage.settled('preferred', settleWithinMs);
      await using probe = await Probe.start(stage.client, [virtualAddress], { intervalMs: 5 });
      await probe.answered(virtualAddress, settleWithinMs);
      const stoppedAt = Date.now();
      await preferred.stop();
      await stage.settled('other', settleWithinMs).catch((error: unknown) => {
        throw new Error(`the other router did not take over:\n${other.log}`, { cause: error });
      });
      await probe.finish();
      const within = outages(probe.outcomes.items.filter(({ sentAt }) => sentAt >= stoppedAt));
      lost.push(within.reduce((sum, outage) => sum + outage.lost, 0));
    }
    return [
      { what: 'probes lost of one every 5 ms, median', unit: 'probes', value: median(lost) },
      { what: 'probes lost of one every 5 ms, worst', unit: 'probes', value: percentile(lost, 1), atMost: 2 },
    ];
  };
}

/** A master alone with its backup: how far its advertisements are from where they should be, and what it weighs. */
function steady(intervalMs: number, durationMs: number): Measure['take'] {
  return async (stage, make, runs) => {
    const deviations: number[] = [];
    await using preferred = await make(stage.host('preferred'), stage.plan('preferred', intervalMs));
    await using other = await make(stage.host('other'), stage.plan('other', intervalMs));
    await stage.settled('preferred', settleWithinMs);
    const startedAt = Date.now();
    await delay(durationMs * runs);
    const adverts = stage.capture
      .all('advert')
      .filter(stage.isFrom('preferred'))
      .filter(({ at }) => at >= startedAt);
    for (const [index, { at }] of adverts.slice(1).entries())
      deviations.push(Math.abs(at - (adverts[index]?.at ?? 0) - intervalMs));
    const residentKib = Math.max(preferred.residentKib(), other.residentKib());
    return [
      { what: 'gap between adverts off by, p50', unit: 'ms', value: median(deviations) },
      {
        what: 'gap between adverts off by, p99',
        unit: 'ms',
        value: percentile(deviations, 0.99),
        atMost: 2.5,
      },
      { what: 'gap between adverts off by, worst', unit: 'ms', value: percentile(deviations, 1) },
      { what: 'resident memory', unit: 'MiB', value: residentKib / 1024, atMost: 65 },
    ];
  };
}
