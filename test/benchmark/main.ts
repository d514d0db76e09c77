import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { contestants } from './contestants.ts';
import { measures, type Figure } from './measures.ts';
import { Stage } from './stage.ts';

/** `npm run bench`: the same measures for havrrp and keepalived, on the same stage, by the same capture. */

const usage = `npm run bench -- [MEASURE...] [--only NAME] [--runs N] [--json]
measures: ${Object.entries(measures)
  .map(([name, { what }]) => `${name} (${what})`)
  .join(', ')}
  --only NAME   ${Object.keys(contestants).join(' or ')}, not both
  --runs N      repetitions of each measure
  --json        the figures as JSON on standard output
Status 1 when havrrp misses a bound.
`;

interface Row extends Figure {
  readonly measure: string;
  readonly contestant: string;
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    runs: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

function chosen<Value>(all: Readonly<Record<string, Value>>, names: readonly string[]): [string, Value][] {
  return (names.length === 0 ? Object.keys(all) : names).map((name) => {
    const value = all[name];
    if (value === undefined)
      throw new Error(`bench: there is no ${name}: use ${Object.keys(all).join(', ')}`);
    return [name, value];
  });
}

async function takeAll(): Promise<Row[]> {
  const rows: Row[] = [];
  const taken = chosen(measures, positionals);
  const competing = chosen(contestants, options.only === undefined ? [] : [options.only]);
  for (const [, { what, runs: usual, take }] of taken) {
    const runs = options.runs === undefined ? usual : Number(options.runs);
    for (const [contestant, make] of competing) {
      process.stderr.write(`${what}, ${runs} ${runs === 1 ? 'run' : 'runs'}: ${contestant}\n`);
      // A stage of its own for each: nothing of the one before is in the other's ARP tables.
      await using stage = await Stage.build();
      for (const figure of await take(stage, make, runs)) rows.push({ measure: what, contestant, ...figure });
    }
  }
  return rows;
}

function print(rows: readonly Row[]): void {
  const names = [...new Set(rows.map(({ contestant }) => contestant))];
  const line = (what: string, cells: readonly string[]): void => {
    process.stdout.write(`${what.padEnd(46)}${cells.map((cell) => cell.padStart(14)).join('')}\n`);
  };
  for (const measure of new Set(rows.map((row) => row.measure))) {
    process.stdout.write('\n');
    line(measure, [...names, 'havrrp has to']);
    const ofMeasure = rows.filter((row) => row.measure === measure);
    for (const what of new Set(ofMeasure.map((row) => row.what))) {
      const figures = names.map((name) =>
        ofMeasure.find((row) => row.what === what && row.contestant === name),
      );
      const limit = figures.find((figure) => figure?.atMost !== undefined);
      line(`  ${what}`, [
        ...figures.map((figure) => (figure === undefined ? '' : quantity(figure.value, figure.unit))),
        limit?.atMost === undefined ? '' : `<= ${quantity(limit.atMost, limit.unit)}`,
        figures.some(isMissed) ? 'MISSED' : '',
      ]);
    }
  }
  const [load] = loadavg();
  process.stdout.write(`\nload of the machine in the last minute: ${(load ?? 0).toFixed(2)}\n`);
}

function quantity(value: number, unit: Figure['unit']): string {
  return `${value.toFixed(unit === 'probes' ? 0 : unit === 'MiB' ? 1 : 2)} ${unit}`;
}

function isMissed(row: Row | undefined): boolean {
  return row?.contestant === 'havrrp' && row.atMost !== undefined && row.value > row.atMost;
}

if (options.help) {
  process.stdout.write(usage);
} else {
  const rows = await takeAll();
  if (options.json) process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
  else print(rows);
  if (rows.some(isMissed)) process.exitCode = 1;
}
