import t from 'tap';
import { CounterTable, checksumToSend, countDiscard } from '../../src/daemon/counters.ts';

t.test('each router of each group counts for itself, and for good', async (t) => {
  const table = new CounterTable();
  table.of('edge', 'lan/ipv4').sent += 2;
  countDiscard(table.of('edge', 'lan/ipv4'), 'bad_checksum');
  countDiscard(table.of('edge', 'lan/ipv4'), 'bad_checksum');
  countDiscard(table.of('edge', 'lan/ipv6'), 'bad_length');
  t.equal(table.of('edge', 'lan/ipv4').sent, 2);
  t.strictSame([...table.of('edge', 'lan/ipv4').discarded], [['bad_checksum', 2]]);
  t.strictSame([...table.of('edge', 'lan/ipv6').discarded], [['bad_length', 1]]);
  t.equal(table.of('other', 'lan/ipv4').sent, 0, 'the same router id in another group is another router');
});

t.test('V3-23: the checksum to send', async (t) => {
  const silent = new CounterTable().of('edge', 'lan/ipv4');
  const heard = { ...silent, checksumHeard: 'pseudo_header' } as const;
  t.equal(checksumToSend('auto', 'ipv4', silent), 'rfc9568', 'auto: the RFC until somebody was heard');
  t.equal(checksumToSend('auto', 'ipv4', heard), 'pseudo_header', 'auto: as the peer');
  t.equal(checksumToSend('rfc9568', 'ipv4', heard), 'rfc9568', 'what is configured is sent');
  t.equal(checksumToSend('pseudo_header', 'ipv4', silent), 'pseudo_header', 'what is configured is sent');
  t.equal(checksumToSend('rfc9568', 'ipv6', silent), 'pseudo_header', 'V3-24: IPv6 has one reading only');
});
