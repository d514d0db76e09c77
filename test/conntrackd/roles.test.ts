import t from 'tap';
import { Roles } from '../../src/conntrackd/roles.ts';

t.test('nothing yet', async (t) => {
  const roles = new Roles();
  t.match(roles, { isMaster: false, isElsewhere: false, isBackupOnly: false, othersAnnouncedAt: undefined });
});

t.test('master of one group, backup of another', async (t) => {
  const roles = new Roles();
  roles.become('one', 'master');
  t.match(roles, { isMaster: true, isElsewhere: false, mastersAnnounced: false });
  roles.announced('one', 'master', 5);
  roles.become('two', 'backup');
  t.match(roles, { isMaster: true, isElsewhere: true, isBackupOnly: false, mastersAnnounced: true });
});

t.test('all others have announced themselves when the last one has', async (t) => {
  const roles = new Roles();
  roles.become('one', 'backup');
  roles.become('two', 'backup');
  roles.announced('one', 'backup', 100);
  t.equal(roles.othersAnnouncedAt, undefined);
  roles.announced('two', 'backup', 300);
  roles.announced('one', 'backup', 900);
  t.equal(roles.othersAnnouncedAt, 300);
  roles.become('one', 'fault');
  t.equal(roles.isBackupOnly, false);
});

t.test('what is announced of another role does not count', async (t) => {
  const roles = new Roles();
  roles.become('one', 'backup');
  roles.announced('one', 'master', 100);
  roles.announced('nobody', 'backup', 100);
  t.equal(roles.othersAnnouncedAt, undefined);
  t.equal(roles.of('nobody'), undefined);
});

t.test('every change counts, and a repeated announcement is none', async (t) => {
  const roles = new Roles();
  t.equal(roles.become('one', 'backup'), undefined);
  const { epoch } = roles;
  roles.announced('one', 'backup', 100);
  t.equal(roles.epoch, epoch);
  t.equal(roles.become('one', 'master'), 'backup');
  roles.remove('one');
  roles.remove('one');
  t.equal(roles.epoch, epoch + 2);
});
