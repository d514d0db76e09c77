/** Edits between two words: insert, delete, replace, or swap two neighbours (optimal string alignment).
 *  @param most where there are more, any greater number will do */
function distance(left: string, right: string, most: number): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      current.push(
        Math.min(
          (previous[column] ?? 0) + 1,
          (current[column - 1] ?? 0) + 1,
          (previous[column - 1] ?? 0) + (same ? 0 : 1),
          swapped ? (beforePrevious[column - 2] ?? 0) + 1 : Infinity,
        ),
      );
    }
    if (Math.min(...current) > most) return most + 1;
    [beforePrevious, previous] = [previous, current];
  }
  return previous[right.length] ?? 0;
}

/** The word somebody may have meant.
 *  @param most edits that are still near; unless given, one for each three letters
 *  @returns the nearest candidate, undefined when none is near */
export function nearest(
  word: string,
  candidates: readonly string[],
  most: number = Math.ceil(word.length / 3),
): string | undefined {
  const typed = word.toLowerCase().replaceAll('-', '_');
  let best: string | undefined;
  let bestDistance = most + 1;
  for (const candidate of candidates) {
    // The difference in length is the least distance there can be: no long junk is ever compared.
    if (Math.abs(candidate.length - typed.length) >= bestDistance) continue;
    const edits = distance(typed, candidate, bestDistance - 1);
    if (edits < bestDistance) [best, bestDistance] = [candidate, edits];
  }
  return best;
}

/** `a`, `a or b`, `a, b or c`. */
export function eitherOf(words: readonly string[]): string {
  const last = words.at(-1) ?? '';
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} or ${last}`;
}
