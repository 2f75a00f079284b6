// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/quota"
	"chronik/node/step"
	"chronik/wal"
)

// Step tells the node what happened since the last call and returns what it wants done. It never
// blocks.
func (n *Node) Step(in *Input) *Output {
	n.begin(in)
	for i := range in.Results {
		n.out.Work.Bytes += int64(len(in.Results[i].Data))
		n.takeResult(in.Results[i])
	}
	for i := range in.Done {
		n.did(in.Done[i])
	}
	n.finishStaging()
	for i := range in.Messages {
		n.out.Work.Bytes += int64(len(in.Messages[i].Data))
		n.receive(in.Messages[i])
	}
	for _, id := range in.Lost {
		n.lose(id)
	}
	n.shutOut(in.Refused)
	for i := range in.Requests {
		n.arrived(in.Requests[i])
	}
	n.dropQueued(in.Hangups)
	n.serveQueued()
	for _, id := range in.Hangups { // last: a request after it would open the connection again
		n.hangUp(id)
	}
	n.expireDeadlines()
	n.tick()
	n.advance()
	n.retryFetches()
	n.doDue()
	n.save()
	n.evict()
	n.endFounding()
	n.flush()
	n.lookFull()
	n.post()
	return n.end(in)
}

// Node is one broker. Its methods must not be called concurrently.
type Node struct {
	cfg        Config
	self       BrokerID
	log        *wal.Log
	cold       *coldReader
	apis       []api
	rights     map[kmsg.Key]right
	auditors   map[kmsg.Key]auditor
	superUsers map[string]bool

	now     Time
	wallMs  int64 // what this broker's wall clock shows
	unread  int64 // bytes of answers that clients haven't taken
	unixMs  int64 // the time that is believed, in ms
	clock   clock
	stepped bool // an Output was returned; before, events of Open wait in out
	out     Output

	opening      *group   // the newest one, which may not be in groups
	groups       []*group // in no meaningful order, see addGroup
	byID         map[GroupID]*group
	awake        []*group // those that are not quiet
	visitAt      int      // in groups, the quiet one that was visited last,
	visits       uint64   // after so many rounds
	visitDue     int      // groups times ticks since the last visit: one is due for each visitEvery
	youngTill    Time     // until then, processes of other brokers are new
	catalog      *catalog
	defaults     map[configDefault]int64 // of topics' configurations, those that were asked for
	founding     founding
	partitions   map[GroupID]*partition
	coordinators map[GroupID]*coordinator
	transactions map[GroupID]*txnCoordinator
	peers        []*peer // ascending by id
	process      start   // this one
	conns        map[ConnID]*conn
	sources      map[string]*source

	counters     counters // for Stats
	logLevel     LogLevel
	errorTeller  errorTeller
	commands     commands
	producerIDs  producerIDs
	secrets      secrets
	memberIDs    uint64     // of consumer groups, given out since Open
	seekers      [2]seekers // of coordinators, by type
	joins        joinTable
	joinsIn      int                    // questions of other brokers that are not answered yet
	markersIn    map[markerKey]BrokerID // from other brokers, on their way into the log here
	autoCreated  rateLimit
	meters       quota.Meters // of clients with quotas
	ratesTold    ratesTold
	clocked      *request // whose cost is being counted,
	clockedFrom  int      // from this cost of the step on
	scrubber     scrubber
	full         bool     // the disk, as of the last tick
	emptying     bool     // leaderships are being given away because it is
	noFile       []*group // that wait until the log has tried to make a file
	refusingTill Time     // entries of leaders have been refused for want of room
	spaceAt      Time     // not before, the log tries again
	compactor    compactor
	tasks        tasks
	arrivals     map[arrivalKey][]*arrival // batches that are being checked, and those after them
	deadlines    step.Deadlines
	syncNews     []*group // whose ISR is announced to the other brokers in this step
	throttle     int64    // bytes per second, see pace.go; 0: nobody asked for one
	catchUpAt    Time     // the rate limit for old entries is used up to here, see pace.go
	nextTick     Time
	ticks        uint64   // so far
	ticking      bool     // the groups are being ticked
	ticked       []*group // scratch: those that are
	handingOver  bool     // leaderships are, because this broker stops
	ready        bool     // registered in the catalog
	configured   int      // so many of cfg.Members are from the configuration; other brokers mentioned the rest
	tellMembers  bool     // the world has to hear of the brokers
	packer       *Packer
	saves        []*group // that want a checkpoint, or are writing one
	packing      bool     // a task compresses one
	staging      []*group // whose large checkpoints are being put into the log
	snapshotsOut int      // checkpoints that followers fetch, and that are fetched from leaders, under way
	snapshotsIn  int
	awaitPlace   []*group // that have a checkpoint for a follower, when there is a place
	offered      []*group // with an offer
	reads        reads
	stopping     bool
	stopBy       Time    // at the latest
	lastLSN      wal.LSN // stopped when this is durable; 0 while leadership is on its way
	ended        *End
	removal      removal // from the cluster, of this broker
	waitsTellAt  Time    // not before, it says what it waits for (waiting.go)
	level        int16   // the cluster's, as of the beginning of the step
	trial        Trial

	// Work of this step, and what is left for the next.
	queued     []*source                // that have requests which are not begun, the next one first
	deferred   rota[*deferredWork]      // begun
	patient    rota[*deferredWork]      // begun, those that take breaks
	breaks     breaks                   // stays across steps
	background []backgroundWork         // begun, in turn
	placing    placing                  // stays across steps
	ownWork    int                      // in the background, in this step
	dirty      []*group                 // to be advanced
	putOff     int                      // so many of them, the first, have been since an earlier step
	advanced   []*group                 // scratch: the array of dirty before
	appends    []appendUnderWay         // in the order in which they become durable; stays across steps
	woken      []*fetch                 // to be tried again
	due        []func()                 // see later
	walEntries []wal.Entry              // scratch
	inSyncNow  []BrokerID               // scratch
	coldFor    map[GroupID][]*entryWait // stays across steps
	inlined    int                      // bytes of records that this step looked at itself
	hosts      *hosts                   // as of this step, see candidates
	onMachines machines                 // the same, see machines
	looked     bool                     // for them, in this step
	telling    bool                     // this broker's machine, once more; see tellMachine

	begun       int      // requests, not answered
	orphans     int64    // bytes, see maxOrphans
	underway    int64    // bytes of proposals that are not applied yet
	admitted    admitted // by all groups
	parkedBytes pool     // see fetch.park
	waits       pool     // see Config.MaxWaits
	sessions    fetchSessions
	large       large
	heldBytes   int64 // of answers that wait for an earlier one of their connection

	told     wal.Stats // as of the last events
	hotBytes int64     // of all groups
	hot      hotGroups
}

func (n *Node) group(id GroupID) *group { return n.byID[id] }

func (n *Node) begin(in *Input) {
	n.now = in.Now
	n.breaks.begin()
	n.level = n.catalog.currentLevel()
	n.tellTime(in.UnixMs)
	n.unread = in.Unread
	if n.stepped {
		n.out.Events = n.out.Events[:0]
	}
	n.stepped = true
	n.out.Replies = n.out.Replies[:0]
	n.out.Messages = n.out.Messages[:0]
	n.out.Ops = n.out.Ops[:0]
	n.out.Tasks = n.out.Tasks[:0]
	n.inlined, n.ownWork = 0, 0
	n.forgetHosts()
	n.out.Changed = n.out.Changed[:0]
	n.out.Members, n.out.Rates, n.out.LogLevel = nil, nil, nil
	n.out.Work = Work{}
	n.breaks.resume()
	if in.Stop && !n.stopping {
		n.stopping = true
		n.stopBy = n.now.Add(4 * n.electionTimeout())
		n.handOver()
	}
}

// tick drives raft's clocks. A node that was stopped for a while ticks only once, because it must first hear what
// happened meanwhile. The groups are ticked in pieces. If that takes longer than a tick, raft's clocks run slower for
// all of them.
func (n *Node) tick() {
	if n.now < n.nextTick || n.ticking {
		return
	}
	n.nextTick = n.now.Add(n.cfg.TickInterval)
	n.ticks++
	n.tickFounding()
	n.ticking = true
	n.ticked = append(n.ticked[:0], n.awake...)
	n.out.Work.Ticked += len(n.ticked)
	n.forEach(n.ticked, (*group).tick, func() { n.ticking = false })
	n.visitQuiet()
	n.mindSilence()
	n.commands.tick()
	n.meters.Forget(n.nowMs())
	n.compactor.tick()
	n.scrub()
	n.mindSpace()
	n.tellAlive()
	n.tickRemoval()
	n.tickWaiting()
	n.tickTrial()
	if n.stopping {
		n.handOver()
	}
}

// turn reports whether it is a group's turn in this tick for work that is done for each group once in so many ticks.
func (n *Node) turn(g *group, ticks int) bool {
	return (n.ticks+uint64(g.id))%uint64(max(1, ticks)) == 0
}

// ticksIn is how many ticks a time takes.
func (n *Node) ticksIn(d time.Duration) int { return int(d / n.cfg.TickInterval) }

// advance advances the groups that were touched until all that is left needs the world or the step's budget is spent: first
// those that earlier steps put off, then in the order of their ids. A part of the budget is reserved for this, whatever
// requests have used.
func (n *Node) advance() {
	limit := max(n.cfg.StepBudget, n.out.Work.Cost()+n.cfg.StepBudget/4)
	for first := true; ; first = false {
		n.tellDurable(limit)
		n.runBackground()
		if len(n.dirty) == 0 || !first && n.out.Work.Cost() >= limit {
			return
		}
		dirty := n.dirty
		slices.SortFunc(dirty[n.putOff:], func(a, b *group) int { return cmp.Compare(a.id, b.id) })
		n.dirty, n.putOff, n.advanced = n.advanced[:0], 0, nil
		done := n.advanceEach(dirty, limit)
		left := dirty[done:]
		if n.putOff = len(left); n.putOff > 0 {
			n.dirty = slices.Insert(n.dirty, 0, left...)
		}
		clear(dirty)
		n.advanced = dirty
		if n.putOff > 0 {
			return
		}
	}
}

// advanceEach advances groups, in turn, until the work of this step reaches a limit, and returns how many.
func (n *Node) advanceEach(dirty []*group, limit int) int {
	for i, g := range dirty {
		if i > 0 && n.out.Work.Cost() >= limit {
			return i
		}
		g.dirty = false
		if n.byID[g.id] != g || g.closed {
			continue // deleted, or found damaged in this step
		}
		n.out.Changed = append(n.out.Changed, g.id)
		before := g.view.hotBytes
		g.advance()
		n.hotBytes += g.view.hotBytes - before
		n.hot.note(g)
	}
	return len(dirty)
}

// appendUnderWay is an append of a group that isn't durable: where it ends.
type appendUnderWay struct {
	group *group
	end   wal.LSN
}

// tellDurable tells groups that their appends are durable: at least one group, and more until the work of this step reaches a
// limit.
func (n *Node) tellDurable(limit int) {
	durable := n.log.Durable()
	for first := true; n.hasDurable() && (first || n.out.Work.Cost() < limit); first = false {
		n.out.Work.Advanced++
		g := n.appends[0].group
		n.appends[0] = appendUnderWay{}
		n.appends = n.appends[1:]
		g.durable(durable)
	}
}

// hasDurable reports whether an append is durable whose group doesn't know it.
func (n *Node) hasDurable() bool { return len(n.appends) > 0 && n.appends[0].end <= n.log.Durable() }

// awaitDurable notes that a group has an append under way that ends where the log does.
func (n *Node) awaitDurable(g *group) { n.appends = append(n.appends, appendUnderWay{g, n.log.End()}) }

func (n *Node) retryFetches() {
	for first := true; len(n.woken) > 0 && (first || !n.spent(1)); first = false {
		f := n.woken[0]
		n.woken[0] = nil
		n.woken = n.woken[1:]
		f.retry()
	}
}

// flush hands the log's operations and the reads to the world.
func (n *Node) flush() {
	for n.ended == nil {
		op, ok := n.log.Next()
		if !ok {
			break
		}
		n.out.Ops = append(n.out.Ops, op)
	}
	for _, op := range n.reads.ops {
		read, ok := n.cold.pending[op.ID]
		if !ok {
			continue // a checkpoint, or the compactor's
		}
		n.event(Event{Kind: EventColdRead, Group: read.group, N: int64(read.first)})
	}
	n.out.Ops = append(n.out.Ops, n.reads.ops...)
	n.reads.ops = n.reads.ops[:0]
	n.noteSegments(n.log.Stats())
}

// noteSegments reports segments that began or ended since the last step.
func (n *Node) noteSegments(now wal.Stats) {
	if now.Segment != n.told.Segment && n.told.Segment != 0 {
		n.event(Event{Kind: EventSegmentRolled, N: int64(now.Segment)}) // each group makes a checkpoint when it is ticked
	}
	if now.Recycled != n.told.Recycled {
		n.event(Event{Kind: EventSegmentRecycled, N: int64(now.Recycled)})
	}
	n.told = now
}

func (n *Node) end(in *Input) *Output {
	slices.Sort(n.out.Changed)
	n.out.Changed = slices.Compact(n.out.Changed)
	if n.tellMembers {
		n.tellMembers = false
		n.out.Members = n.correspondents()
	}
	n.tellRates()
	n.out.Wake = min(n.nextTick, n.deadlines.Next())
	switch {
	case n.busy() || n.patient.len > 0 && !n.breaks.paused:
		n.out.Wake = n.now
	case n.breaks.holds():
		n.out.Wake = min(n.out.Wake, n.breaks.end())
		fallthrough
	default:
		n.breaks.done = 0 // how long this step took will not be known
	}
	if n.out.End = n.ended; n.ended == nil {
		err := n.checkCounts()
		step.Assert(err == nil, "what a step leaves is counted: %v", err)
	}
	n.out.Stopped = n.stopping && (n.now >= n.stopBy || n.lastLSN > 0 && n.log.Durable() >= n.lastLSN)
	return &n.out
}

func (n *Node) event(e Event) { n.out.Events = append(n.out.Events, e) }
