/** What conntrackd 1.4.7 answers, as it came over its socket. */

export const externalCache = `cache internal:
current active connections:	           7
connections created:		          12	failed:	           1
connections updated:		           2	failed:	           3
connections destroyed:		           5	failed:	           4

cache external:
current active connections:	       10000
connections created:		       20005	failed:	           0
connections updated:		           0	failed:	           0
connections destroyed:		       10005	failed:	           0

traffic processed:
                   0 Bytes                         0 Pckts

UDP traffic (active device=sync0):
                4032 Bytes sent                 4864 Bytes recv
                 104 Pckts sent                  105 Pckts recv
                   6 Error send                    8 Error recv

message tracking:
                   9 Malformed msgs                   11 Lost msgs

`;

export const injection = `cache internal:
current active connections:	          10
connections created:		       10010	failed:	           0
connections updated:		           0	failed:	           0
connections destroyed:		       10000	failed:	           0

external inject:
connections created:		          20	failed:	           0
connections updated:		          10	failed:	           0
connections destroyed:		           0	failed:	           0

traffic processed:
                   0 Bytes                         0 Pckts

multicast traffic (active device=eth2):
                 880 Bytes sent                  864 Bytes recv
                   4 Pckts sent                    3 Pckts recv
                   0 Error send                    0 Error recv

message tracking:
                   0 Malformed msgs                    0 Lost msgs

`;

export const statisticsMode = `cache stats:
current active connections:	          10
connections created:		          10	failed:	           0
connections updated:		           0	failed:	           0
connections destroyed:		           0	failed:	           0

traffic processed:
                   0 Bytes                         0 Pckts

`;

export const network = `network statistics:
	recv:
		Malformed messages:	                   1
		Wrong protocol version:	                   2
		Malformed header:	                   0
		Malformed payload:	                   0
		Bad message type:	                   0
		Truncated message:	                   0
		Bad message size:	                   0
	send:
		Malformed messages:	                   3

sequence tracking statistics:
	recv:
		Packets lost:		                  97
		Packets before:		                   4

UDP traffic (active device=sync0):
                4032 Bytes sent                 4864 Bytes recv
                 104 Pckts sent                  105 Pckts recv
                   0 Error send                    0 Error recv

`;

export const cache = `cache:internal	active objects:		          10
	active/total entries:		          10/          12
	creation OK/failed:		       10020/           0
		no memory available:	           0
		no space left in cache:	           0
	update OK/failed:		           0/           0
		entry not found:	           0
	deletion created/failed:	       10010/           0
		entry not found:	           0
cache:external	active objects:		       50000
	active/total entries:		       50000/       50000
	creation OK/failed:		       50000/       50001
		no memory available:	           0
		no space left in cache:	       50001
	update OK/failed:		           0/           0
		entry not found:	           0
	deletion created/failed:	           0/           0
		entry not found:	           0
`;

export const queue = `allocated queue nodes:		           1

queue txqueue:
current elements:		           0
maximum elements:		  2147483647
not enough space errors:	           0

queue errorq:
current elements:		           0
maximum elements:		         128
not enough space errors:	           0

queue rsqueue:
current elements:		           1
maximum elements:		      131072
not enough space errors:	       68929

`;

export const runtime = `daemon uptime: 1 min

netlink stats:
	events received:	               10080
	events filtered:	                   0
	events unknown type:		           0
	catch event failed:		           0
	dump unknown type:		           0
	netlink overrun:		           1
	flush kernel table:		           1
	resync with kernel table:	           0
	current buffer size (in bytes):	     8388608

runtime stats:
	child process failed:		           0
		child process segfault:	           0
		child process termsig:	           0
	select failed:			           0
	wait failed:			           0
	local read failed:		           0
	local unknown request:		           2

`;
