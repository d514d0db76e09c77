/** Has the peer's session table arrived here? No message of conntrackd's says so: the answer to a request is ordinary updates in
 *  one burst, and nothing marks their end. What can be had without the peer's own numbers is a second opinion: ask, wait until
 *  nothing moves any more, ask once more, and see that nothing is added. `proved` means "very probably".
 *
 *  A function of plain data, as the machines of `protocol` are. */

/** What was seen in one poll. */
export interface Sample {
  /** Monotonic milliseconds. */
  readonly at: number;
  /** Whether the peer's conntrackd lives: its packets arrive. */
  readonly heard: boolean;
  /** The peer's sessions here: the external cache, or the number of those put into our kernel. */
  readonly size: number;
  /** Messages lost on the way, ever. */
  readonly lost: number;
}

export type Proof =
  /** Nothing is asked of a peer that is not heard: where its conntrackd starts after ours, the answer would never come. */
  | { readonly step: 'unheard' }
  | { readonly step: 'filling'; readonly askedAt: number; readonly window: readonly Sample[] }
  /** Asked for the second time when there were `sizeBefore`. */
  | {
      readonly step: 'checking';
      readonly askedAt: number;
      readonly sizeBefore: number;
      readonly window: readonly Sample[];
    }
  | { readonly step: 'proved'; readonly provedAt: number; readonly size: number };

export interface ProofStep {
  readonly proof: Proof;
  /** The peer is to be asked for all it has. */
  readonly ask: boolean;
}

/** How far apart samples should be taken meanwhile. */
export const sampleEveryMs = 500;

const windowSamples = 3;

/** After a request, before its answer may be judged: acknowledgements come once a second. */
const answerMs = 2500;

/** An answer that has not come to rest by then is asked for again. */
const patienceMs = 5000;

/** Samples that lie closer together show nothing. */
const minSpanMs = (windowSamples - 1) * sampleEveryMs * 0.8;

export const unproved: Proof = { step: 'unheard' };

export function stepProof(proof: Proof, sample: Sample): ProofStep {
  if (!sample.heard) return { proof: unproved, ask: false };
  switch (proof.step) {
    case 'unheard':
      return askFirst(sample);
    case 'filling': {
      const window = slide(proof.window, sample);
      if (isSteady(window)) return askAgain(sample);
      if (sample.at - proof.askedAt > patienceMs) return askFirst(sample);
      return { proof: { ...proof, window }, ask: false };
    }
    case 'checking': {
      const window = slide(proof.window, sample);
      const { askedAt, sizeBefore } = proof;
      const waited = sample.at - askedAt;
      if (waited < answerMs || !isSteady(window)) {
        return waited > patienceMs ? askFirst(sample) : { proof: { ...proof, window }, ask: false };
      }
      if (sample.size - sizeBefore > tolerance(sizeBefore)) return askAgain(sample);
      return { proof: { step: 'proved', provedAt: sample.at, size: sample.size }, ask: false };
    }
    case 'proved':
      return { proof, ask: false };
  }
}

/** What it stands at, for people. */
export function describeProof(proof: Proof): string {
  switch (proof.step) {
    case 'unheard':
      return 'the conntrackd of the other node is not heard';
    case 'filling':
      return `the sessions of the other node are arriving: ${proof.window.at(-1)?.size ?? 0} so far`;
    case 'checking':
      return `the other node was asked once more, to see that none of its sessions is missing: ${proof.sizeBefore} so far`;
    case 'proved':
      return `the sessions of the other node are here: ${proof.size}`;
  }
}

function askFirst(sample: Sample): ProofStep {
  return { proof: { step: 'filling', askedAt: sample.at, window: [] }, ask: true };
}

function askAgain(sample: Sample): ProofStep {
  return {
    proof: { step: 'checking', askedAt: sample.at, sizeBefore: sample.size, window: [] },
    ask: true,
  };
}

function slide(window: readonly Sample[], sample: Sample): readonly Sample[] {
  return [...window, sample].slice(-windowSamples);
}

function isSteady(window: readonly Sample[]): boolean {
  const first = window[0];
  const last = window.at(-1);
  if (first === undefined || last === undefined || window.length < windowSamples) return false;
  const sizes = window.map(({ size }) => size);
  const spread = Math.max(...sizes) - Math.min(...sizes);
  return last.at - first.at >= minSpanMs && spread <= tolerance(last.size) && first.lost === last.lost;
}

/** Sessions come and go while we look. */
function tolerance(size: number): number {
  return Math.max(32, size * 0.01);
}
