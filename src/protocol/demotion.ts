/** One contribution to a group's demotion, by an operator, a link or a check. */
export interface Demotion {
  /** `operator`, or the name of a tracker. */
  readonly source: string;
  readonly value: number;
  /** Out of the election altogether, not only the last choice in it. */
  readonly hard: boolean;
}

/** What an operator's `demote` adds: enough to make any priority the last choice. */
export const operatorDemotion = 254;

/** The sum of all contributions. */
export function totalDemotion(demotions: readonly Demotion[]): number {
  return demotions.reduce((sum, { value }) => sum + value, 0);
}

/** The priority to advertise: demotion lowers it, but never to 0, which says that we leave (RFC 9568 5.2.4), and so does
 *  not take the router out of the election.
 *  @returns 1 to 255 */
export function effectivePriority(priority: number, demotion: number): number {
  return Math.max(1, priority - demotion);
}
