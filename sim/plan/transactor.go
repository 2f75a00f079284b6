// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strconv"
)

// Transactor is a machine on which a process with a transactional id runs. Its process may end between any two requests; then
// another one takes its place, sometimes while it still goes on.
type Transactor struct {
	ID     int      `json:"id"` // from 1, unique among transactors
	TxnID  string   `json:"txn_id"`
	Modern bool     `json:"modern,omitempty"` // each transaction has an epoch, and partitions are added by writing to them (KIP-890)
	Topics []string `json:"topics"`           // to which it writes, sorted
	// A chain processes the records of some partitions of From, and commits offsets for Group in its transactions. It has Parts for itself,
	// or, if it has a Session, its processes are members of Group, and get them from its leader (KIP-447).
	From  string  `json:"from,omitempty"`
	Group string  `json:"group,omitempty"`
	Parts []int32 `json:"parts,omitempty"` // that no other transactor of the group has

	Session Duration `json:"session,omitempty"` // after which a member that is silent is none any more

	At         Duration `json:"at"`                 // when its first process starts
	Pause      Duration `json:"pause"`              // mean, between transactions
	Most       int      `json:"most"`               // transactions of all its processes, before all is healed
	Records    int      `json:"records"`            // of a transaction, at most
	Aborts     int64    `json:"aborts,omitempty"`   // of 100 transactions
	Crashes    int64    `json:"crashes,omitempty"`  // of 1000 requests, so many are the last of their process, or the first one of another
	Doubles    int64    `json:"doubles,omitempty"`  // of 1000 requests, so many arrive once more, later
	Loses      int64    `json:"loses,omitempty"`    // of 1000 requests, so many go over a connection that breaks soon after
	Patience   Duration `json:"patience,omitempty"` // how long it waits at most for the batches of a wave, if it waits not for ever; 0: 2 s for all of a transaction
	Rest       Duration `json:"rest,omitempty"`     // when a process has ended, no other starts for so long; 0: for at most five seconds
	TxnTimeout Duration `json:"txn_timeout"`        // after which the coordinator aborts a transaction
	Timeout    Duration `json:"timeout"`            // of one request on the wire
	Home       int      `json:"home"`               // the broker that is asked first
}

// Reader is a client that reads what is committed of all topics to which transactors write, again and again.
type Reader struct {
	ID      int      `json:"id"`      // from 1, unique among readers
	Timeout Duration `json:"timeout"` // of one request on the wire
	Pause   Duration `json:"pause"`   // between fetches, at most
	Home    int      `json:"home"`    // the broker that is asked first
}

// Transactional lists the topics to which transactors write, and those from which chains read.
func (p *Plan) Transactional() (names []string) {
	for i := range p.Transactors {
		for _, name := range append(slices.Clone(p.Transactors[i].Topics), p.Transactors[i].From) {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (p *Plan) validateTransactors() error {
	ids := make(map[int]bool)
	owned := make(map[string]bool)
	for _, t := range p.Transactors {
		if t.ID < 1 || ids[t.ID] || t.TxnID == "" || len(t.Topics) == 0 || !slices.IsSorted(t.Topics) || t.Records < 1 || t.Most < 0 || t.At < 0 || t.Pause < 0 || t.Rest < 0 ||
			t.TxnTimeout < millisecond || t.Timeout < millisecond || t.Home < 1 || t.Home > p.Brokers {
			return fmt.Errorf("transactor %d: id must be unique and positive, txn_id not empty, topics sorted and not empty, records positive, most and rest not negative, time-outs at least 1ms, home a broker", t.ID)
		}
		ids[t.ID] = true
		for _, name := range t.Topics {
			if p.Topic(name) == nil {
				return fmt.Errorf("transactor %d: no topic %q in the plan", t.ID, name)
			}
		}
		if (t.From == "") != (t.Group == "") || (t.From == "") != (len(t.Parts) == 0 && t.Session == 0) || len(t.Parts) > 0 && t.Session > 0 || t.Session > 0 && t.Session < ShortestSession {
			return fmt.Errorf("transactor %d: from and group come together, and with either parts or a session of at least %v", t.ID, ShortestSession)
		}
		if from := p.Topic(t.From); from != nil && from.Keys > 0 {
			return fmt.Errorf("transactor %d: topic %q is compacted, so not every record in it has to be processed", t.ID, t.From)
		}
		for _, part := range t.Parts {
			name := t.Group + " " + t.From + "/" + strconv.Itoa(int(part))
			if in := p.Topic(t.From); in == nil || part < 0 || part >= in.Partitions || owned[name] {
				return fmt.Errorf("transactor %d: no partition %s/%d in the plan, or another one of the group has it", t.ID, t.From, part)
			}
			owned[name] = true
		}
	}
	if err := p.validateAbortsWithin(); err != nil {
		return err
	}
	readers := make(map[int]bool)
	for _, r := range p.Readers {
		if r.ID < 1 || readers[r.ID] || r.Timeout < millisecond || r.Pause < millisecond || r.Home < 1 || r.Home > p.Brokers {
			return fmt.Errorf("reader %d: id must be unique and positive, timeout and pause at least 1ms, home a broker", r.ID)
		}
		readers[r.ID] = true
	}
	for _, name := range p.Transactional() {
		if slices.ContainsFunc(p.Calls, func(c Call) bool { return c.Topic == name && (c.Kind == CallDelete || c.Kind == CallGrow) }) {
			return fmt.Errorf("transactors: nobody may delete topic %q or give it partitions", name)
		}
	}
	return nil
}

// validateAbortsWithin demands that transactors have topics of their own where it is to be seen when each one's transactions end.
func (p *Plan) validateAbortsWithin() error {
	if p.AbortsWithin == 0 {
		return nil
	}
	writers := make(map[string]int)
	for _, t := range p.Transactors {
		for _, name := range t.Topics {
			if writers[name]++; writers[name] > 1 {
				return fmt.Errorf("aborts_within: two transactors write to topic %q", name)
			}
		}
	}
	return nil
}

// transactions draws transactors, and topics of their own. It is drawn last.
func (g *generator) transactions() {
	if g.prof.txns == 0 || !g.chance(g.prof.txns, 100) {
		return
	}
	p := g.plan
	var topics []string
	for i := range g.between(1, 3) {
		t := Topic{Name: "x" + strconv.Itoa(int(i)), Partitions: int32(g.wide(1, 3)), Replicas: int16(min(3, p.mostReplicas()))}
		if g.chance(1, 5) {
			t.Replicas = int16(g.between(1, int64(t.Replicas)))
		}
		p.Topics = append(p.Topics, t)
		topics = append(topics, t.Name)
		created := Duration(0)
		if i > 0 && g.chance(1, 4) { // some brokers know it later than others, while transactions are under way
			created = Duration(g.upTo(int64(p.Safety/2)) / 1000 * 1000)
		}
		g.call(Call{At: created, Client: p.Clients[0].ID, Kind: CallCreate, Topic: t.Name})
	}
	if g.prof.groups == 0 || len(p.Members) == 0 {
		p.Knobs.GroupPartitions = int32(g.between(1, 3))
	}
	for range g.between(1, 4) {
		g.transactor(topics[:1+g.pick(int64(len(topics)))])
	}
	if len(topics) > 1 && g.chance(2, 3) {
		g.chains(topics)
	}
	// Each segment begins with the list of the others. If what is kept lies scattered over many small ones, they hold nothing else.
	p.Knobs.SegmentBytes = max(p.Knobs.SegmentBytes, int64(len(p.Transactors))<<10)
	for i := range g.between(1, 2) {
		p.Readers = append(p.Readers, Reader{
			ID: int(i) + 1, Timeout: g.span(300*millisecond, 3*second), Pause: g.span(10*millisecond, second), Home: int(g.between(1, int64(p.Brokers))),
		})
	}
	g.besideTransactions(topics)
	g.compactedTransactions(topics)
	for i := range p.Transactors {
		if t := &p.Transactors[i]; g.prof.faults > 0 && g.chance(1, 3) {
			t.Loses = g.wide(4, 100)
		}
	}
	if g.prof.faults > 0 {
		g.faultsAfter(txnAnchors)
	}
}

// txnAnchors are the events after which a fault is worth most to transactions.
var txnAnchors = []string{"transaction ended", "transaction timed out", "committed", "became leader"}

// transactor draws one that writes to some topics.
func (g *generator) transactor(topics []string) *Transactor {
	p := g.plan
	t := Transactor{
		ID: len(p.Transactors) + 1, Modern: g.chance(2, 3), Topics: slices.Clone(topics),
		At: g.span(millisecond, max(2*millisecond, p.Safety/4)), Pause: g.span(20*millisecond, second), Most: int(g.wide(5, 200)), Records: int(g.wide(1, 24)), Aborts: g.upTo(60),
		TxnTimeout: g.span(100*millisecond, 10*second), Timeout: g.span(200*millisecond, 3*second), Home: int(g.between(1, int64(p.Brokers))),
	}
	t.TxnID = "txn" + strconv.Itoa(t.ID)
	if g.prof.faults > 0 {
		if g.chance(2, 3) {
			t.Crashes = g.wide(1, 100)
		}
		if g.chance(2, 3) {
			t.Doubles = g.wide(1, 200)
		}
	}
	p.Transactors = append(p.Transactors, t)
	return &p.Transactors[len(p.Transactors)-1]
}

// chains has each topic but the first made of the one before it, at times, by one transactor or by one for each partition.
func (g *generator) chains(topics []string) {
	for i := range topics[:len(topics)-1] {
		if i > 0 && !g.chance(1, 2) {
			continue
		}
		from := g.plan.Topic(topics[i])
		n := int32(1)
		if g.chance(1, 2) {
			n = from.Partitions
		}
		for k := range n {
			t := g.transactor(topics[i+1 : i+2])
			t.From, t.Group = from.Name, "chain"+strconv.Itoa(i)
			for part := k; part < from.Partitions; part += n {
				t.Parts = append(t.Parts, part)
			}
		}
	}
}

// compactedTransactions has topics compacted from which no chain reads, with so few keys that hardly a record stays, and markers that go
// soon.
func (g *generator) compactedTransactions(topics []string) {
	p := g.plan
	if !g.chance(1, 3) {
		return
	}
	compacted := false
	for _, name := range topics {
		if slices.ContainsFunc(p.Transactors, func(t Transactor) bool { return t.From == name }) || !g.chance(2, 3) {
			continue
		}
		t := p.Topic(name)
		g.compaction(t)
		if g.chance(3, 4) {
			t.TombstonesMs = g.wide(1, 30_000)
		}
		compacted = true
	}
	if k := &p.Knobs; compacted {
		k.RetainEntries = int(g.wide(1, 32))
		if g.chance(1, 3) {
			k.CompactionBytes = g.wide(300, 4000)
		}
	}
}

// besideTransactions lets usual clients use the topics as well, and things happen to their partitions.
func (g *generator) besideTransactions(topics []string) {
	p := g.plan
	some := func(kind string) Call {
		t := p.Topic(topics[g.pick(int64(len(topics)))])
		return Call{
			At: Duration(g.upTo(int64(p.Safety)) / 1000 * 1000), Client: p.Clients[g.pick(int64(len(p.Clients)))].ID, Kind: kind,
			Topic: t.Name, Partition: int32(g.pick(int64(t.Partitions))),
		}
	}
	for range g.upTo(20) {
		c := some([]string{CallProduce, CallFetch, CallLatest}[g.pick(3)])
		if c.Kind == CallProduce {
			c.Records, c.Size, c.Acks = int(g.wide(1, 4)), MinValue, g.acks(c.Client)
		}
		g.call(c)
	}
	if g.chance(1, 8) {
		c := some(CallTrim)
		c.Offset = g.wide(1, 50)
		g.call(c)
	}
	if g.moves {
		for range g.wide(1, 6) {
			c := some(CallMove)
			c.Brokers = g.someBrokers(true)
			g.call(c)
		}
	}
}
