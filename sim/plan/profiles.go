// SPDX-License-Identifier: Apache-2.0

package plan

// profile bounds what is drawn.
type profile struct {
	name       string
	brokers    []int // drawn from these
	topics     int   // at most
	partitions int32 // at most, of one topic
	clients    int   // at most, of each sort
	calls      int   // at most
	safety     [2]Duration
	faults     int // at most; 0: none
	kinds      []FaultKind
	tiny       bool                     // knobs at their smallest
	dense      bool                     // always many calls in little time, on one partition
	moves      bool                     // always brokers that join and leave, and partitions that move
	configs    func(*generator, *Topic) // of every topic
	script     func(*generator)         // writes the whole plan; nothing else applies then
	groups     int64                    // of 100 worlds, so many have consumer groups
	members    int                      // at most, of one group
	hostile    int64                    // of 100 worlds, so many have hostile clients
	lies       int64                    // of 100 worlds, so many have a broker that lies
	lists      int64                    // of 100 worlds, so many have founders with wrong lists of members
	seconds    int64                    // of 100 worlds, so many have a second process with a broker's id
	states     int64                    // of 100 worlds, so many have states of many hundreds of things
	clumsy     bool                     // clocks that are years off
	asks       bool                     // all worlds ask much
	txns       int64                    // of 100 worlds, so many have transactions
	secured    int64                    // of 100 worlds, so many ask for logins and have rules
	rollouts   int64                    // of 100 worlds, so many have brokers of two releases
	machines   int64                    // of 100 worlds, so many have brokers that share machines
	ages       bool                     // few clocks are wrong in most worlds, so that ages can be judged
}

var profiles = []profile{
	{
		name: "default", brokers: []int{3, 3, 3, 3, 5, 1, 2, 4, 5, 3}, topics: 3, partitions: 4, clients: 4,
		calls: 600, safety: [2]Duration{5 * second, 60 * second}, txns: 8, faults: 60, kinds: drawnKinds,
		groups: 12, members: 4, hostile: 10, lies: 10, lists: 4, seconds: 8, states: 4, secured: 6, rollouts: 8, machines: 6,
	},
	{
		name: "tiny", brokers: []int{3}, topics: 1, partitions: 1, clients: 1,
		calls: 12, safety: [2]Duration{3 * second, 15 * second}, faults: 12, kinds: drawnKinds, tiny: true,
	},
	{
		name: "calm", brokers: []int{3, 1, 5, 2, 4}, topics: 3, partitions: 4, clients: 4,
		calls: 600, safety: [2]Duration{5 * second, 60 * second}, txns: 8, groups: 12, members: 4,
	},
	{
		name: "disk", brokers: []int{3, 3, 1, 5}, topics: 2, partitions: 2, clients: 2,
		calls: 200, safety: [2]Duration{5 * second, 30 * second}, txns: 8, faults: 24, tiny: true, states: 6,
		kinds: []FaultKind{FaultPower, FaultKill, FaultRecovery, FaultSlowDisk, FaultStall, FaultSyncError, FaultWriteErr},
	},
	{
		name: "network", brokers: []int{3, 5}, topics: 2, partitions: 2, clients: 2,
		calls: 200, safety: [2]Duration{5 * second, 30 * second}, txns: 8, faults: 24,
		kinds: []FaultKind{FaultIsolate, FaultSends, FaultReceives, FaultLink, FaultHalves, FaultClog, FaultLoss, FaultDup, FaultTail, FaultPause, FaultReset, FaultRefuse, FaultSilence},
	},
	{ // leaders that don't know yet that they were deposed, and clients that still ask them
		name: "stale", brokers: []int{3, 3, 5}, topics: 1, partitions: 1, clients: 4,
		calls: 600, safety: [2]Duration{3 * second, 8 * second}, txns: 6, faults: 12, dense: true,
		kinds: staleKinds,
	},
	{ // brokers join, leave and lose their disks, partitions move
		name: "moves", brokers: []int{4, 5, 3, 6, 5, 7, 2}, topics: 2, partitions: 3, clients: 2,
		calls: 200, safety: [2]Duration{8 * second, 40 * second}, txns: 12, faults: 16, moves: true, groups: 25, members: 3, seconds: 20, states: 6, rollouts: 10,
		kinds: []FaultKind{
			FaultLoseDisk, FaultJoin, FaultKill, FaultPower, FaultRecovery, FaultStop, FaultPause, FaultIsolate, FaultSends, FaultReceives,
			FaultHalves, FaultLoss, FaultDup, FaultTail, FaultSlowDisk, FaultStall, FaultPeers,
		},
	},
	{ // consumer groups whose members come and go, and whose coordinators do
		name: "groups", brokers: []int{3, 3, 3, 5, 1, 4}, topics: 2, partitions: 4, clients: 2,
		calls: 200, safety: [2]Duration{8 * second, 40 * second}, txns: 12, faults: 16, kinds: drawnKinds, groups: 100, members: 6, states: 6,
	},
	{ // records that are deleted because they are old or many, or on request
		name: "retention", brokers: []int{3, 3, 5}, topics: 2, partitions: 2, clients: 3, calls: 600,
		safety: [2]Duration{8 * second, 60 * second}, txns: 4, faults: 24, kinds: drawnKinds, configs: (*generator).retention, ages: true, states: 6,
	},
	{ // records that are dropped when there are newer ones with their key
		name: "compact", brokers: []int{3, 3, 5}, topics: 2, partitions: 2, clients: 3, calls: 600,
		safety: [2]Duration{8 * second, 40 * second}, faults: 24, kinds: drawnKinds, configs: (*generator).compaction, states: 6,
	},
	{ // bits that change on the disks, and what can't be read
		name: "rot", brokers: []int{3, 3, 5}, topics: 2, partitions: 3, clients: 3, calls: 600,
		safety: [2]Duration{8 * second, 40 * second}, txns: 6, faults: 24, tiny: true,
		kinds: []FaultKind{FaultRot, FaultRot, FaultRot, FaultSector, FaultSector, FaultReads, FaultReads, FaultKill, FaultPower, FaultRecovery, FaultStop, FaultIsolate, FaultLoss, FaultSlowDisk},
	},
	{ // disks that are full for a while
		name: "full", brokers: []int{3, 3, 5, 1}, topics: 2, partitions: 3, clients: 3, calls: 600,
		safety: [2]Duration{8 * second, 40 * second}, txns: 6, faults: 24, tiny: true,
		kinds: []FaultKind{FaultFull, FaultFull, FaultFull, FaultKill, FaultPower, FaultStop, FaultIsolate, FaultLoss, FaultSlowDisk},
	},
	{ // requests that usual clients seldom make
		name: "asks", brokers: []int{3, 3, 1, 5}, topics: 3, partitions: 4, clients: 2, calls: 100,
		safety: [2]Duration{5 * second, 20 * second}, txns: 10, faults: 6, kinds: drawnKinds, groups: 50, members: 3, asks: true,
	},
	{ // transactions, chains of them, and who reads only what is committed
		name: "transactions", brokers: []int{3, 3, 3, 5, 1, 4}, topics: 1, partitions: 2, clients: 1, calls: 30,
		safety: [2]Duration{4 * second, 30 * second}, faults: 16, kinds: drawnKinds, tiny: true, txns: 100, groups: 10, members: 2,
	},
	{ // logins and rules, which change, and sessions that end
		name: "secured", brokers: []int{3, 3, 3, 5, 1, 4}, topics: 2, partitions: 2, clients: 2, calls: 60,
		safety: [2]Duration{5 * second, 30 * second}, txns: 10, faults: 16, kinds: drawnKinds, tiny: true, groups: 20, members: 2, secured: 100,
	},
	{ // brokers of two releases, which are rolled from one to the other and back
		name: "rolling", brokers: []int{3, 3, 3, 5, 4}, topics: 2, partitions: 2, clients: 2, calls: 200,
		safety: [2]Duration{5 * second, 30 * second}, txns: 10, faults: 16, kinds: drawnKinds, tiny: true, groups: 20, members: 2, rollouts: 100,
	},
	{ // brokers that share machines, which die with all their brokers
		name: "machines", brokers: []int{3, 3, 2, 4, 3}, topics: 2, partitions: 4, clients: 2, calls: 200,
		safety: [2]Duration{5 * second, 30 * second}, txns: 10, faults: 16, groups: 20, members: 3, machines: 100,
		kinds: []FaultKind{
			FaultKill, FaultKill, FaultPower, FaultPower, FaultRecovery, FaultStop, FaultStop, FaultPause, FaultLoseDisk, FaultIsolate, FaultSends, FaultReceives,
			FaultLoss, FaultDup, FaultTail, FaultSlowDisk, FaultStall, FaultSyncError, FaultPeers,
		},
	},
	{ // clients that send what nobody should, beside those that behave
		name: "hostile", brokers: []int{3, 3, 1, 5}, topics: 2, partitions: 2, clients: 2, calls: 200,
		safety: [2]Duration{5 * second, 20 * second}, txns: 6, faults: 12, kinds: drawnKinds, hostile: 100, lies: 50, groups: 25, members: 3, states: 20,
	},
	{ // extreme settings, clocks that are years off, machines that are taken away, brought back and swapped
		name: "clumsy", brokers: []int{3, 4, 5, 1}, topics: 2, partitions: 2, clients: 2, calls: 200,
		safety: [2]Duration{5 * second, 30 * second}, txns: 8, faults: 24, tiny: true, moves: true, hostile: 25, lies: 25, lists: 35, groups: 25, members: 3, clumsy: true, seconds: 40,
		kinds: []FaultKind{
			FaultClockJump, FaultClockJump, FaultClockJump, FaultOldCopy, FaultOldCopy, FaultJoin, FaultJoin, FaultLoseDisk, FaultStop, FaultKill, FaultPower, FaultFull,
			FaultIsolate, FaultPeers, FaultRefuse,
		},
	},
	{ // more than a cluster survives
		name: beyond, brokers: []int{3, 3, 5, 1}, topics: 2, partitions: 2, clients: 2, calls: 200,
		safety: [2]Duration{5 * second, 30 * second}, faults: 24, tiny: true, groups: 25, members: 3,
		kinds: []FaultKind{
			FaultPhantom, FaultPhantom, FaultPhantom, FaultPhantom, FaultPhantom, FaultPower, FaultPower, FaultPower, FaultRot, FaultRot, FaultLoseDisk, FaultLoseDisk, FaultOldCopy,
			FaultLostWrite, FaultLostWrite, FaultMiswrite, FaultMiswrite, FaultMisread, FaultMisread, FaultStaleSize, FaultStaleSize,
			FaultKill, FaultStop, FaultPause, FaultIsolate, FaultLoss,
		},
	},
}

// beyond is the profile whose worlds break what a cluster relies on: most disks, or all, lose what they had, keep nothing of
// what they said was synced, or change a bit anywhere.
const beyond = "beyond"

// Beyond says that acknowledged records may be lost in this world. What still holds: no broker panics or invents data, and
// each one that can't go on says why.
func (p *Plan) Beyond() bool { return p.Profile == beyond }

// staleKinds are the faults that depose leaders which go on for a while.
var staleKinds = []FaultKind{FaultIsolate, FaultSends, FaultReceives, FaultHalves, FaultLink, FaultPause, FaultSlowDisk, FaultStall}
