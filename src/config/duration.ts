const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export const durationPattern: RegExp = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?$/;

/** Reads `10ms`, `1.5s`, `5m`, `1h`, or a bare number of seconds.
 *  @returns milliseconds, not necessarily whole; undefined for anything else */
export function parseDuration(value: string | number): number | undefined {
  const [, digits, unit = 's'] = durationPattern.exec(String(value)) ?? [];
  if (digits === undefined) return undefined;
  // 0.07 * 1000 is 70.00000000000001: fifteen digits are what a double keeps of a decimal number.
  return Number((Number(digits) * (unitMs[unit] ?? 0)).toPrecision(15));
}

/** @returns the duration as an operator would write it: `70ms`, `1.5s`, `5m` */
export function formatDuration(ms: number): string {
  if (ms !== 0 && ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  if (ms !== 0 && ms % 60_000 === 0) return `${ms / 60_000}m`;
  return ms < 1000 && ms !== 0 ? `${ms}ms` : `${ms / 1000}s`;
}
