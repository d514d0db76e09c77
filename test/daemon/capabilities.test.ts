import t from 'tap';
import { missingCapabilities } from '../../src/daemon/capabilities.ts';

const status = (mask: string): string =>
  `Name:\tnode\nCapPrm:\t0000000000000000\nCapEff:\t${mask}\nCapBnd:\t000001ffffffffff\n`;

t.test('what is missing is named', async (t) => {
  const rows: readonly [mask: string, missing: RegExp | undefined][] = [
    ['000001ffffffffff', undefined],
    ['0000000000003000', undefined],
    ['0000000000002000', /with CAP_NET_ADMIN$/],
    ['0000000000001000', /with CAP_NET_RAW$/],
    ['0000000000000000', /with CAP_NET_ADMIN and CAP_NET_RAW$/],
  ];
  for (const [mask, missing] of rows) {
    const fault = missingCapabilities(status(mask));
    if (missing === undefined) t.equal(fault, undefined, mask);
    else t.match(fault, { code: 'no_permission', text: missing }, mask);
  }
});
