// SPDX-License-Identifier: Apache-2.0

package node

import "fmt"

// EndKind says for what reason a node is at its end.
type EndKind uint8

// The reasons.
const (
	EndDisk        EndKind = iota + 1 // a write or sync failed: what the disk holds is no longer known
	EndDamaged                        // the disk gives back other bytes than were written, where nothing can stand in for them
	EndSuperseded                     // another process has joined the cluster under this broker's id
	EndRemoved                        // the cluster removed this broker
	EndIncarnation                    // it joins with a number that isn't new, see IncarnationError
	EndOutdated                       // the data folder is an older copy of itself, or another process runs on a copy of it
	EndFounders                       // it founded a cluster of its own, to which nobody wrote, and others wait for it to found theirs
	EndTaken                          // another process, which runs, has this broker's id
	EndLevel                          // its release doesn't support the cluster's feature level, see LevelError
)

// End is why a node is at its end. Its text is for the operator: what happened, and what to do.
type End struct {
	Kind EndKind
	Err  error
}

func (e *End) Error() string {
	switch e.Kind {
	case EndDisk:
		return fmt.Sprintf("the broker stopped, because what its disk holds is no longer known: %v; check the disk, then start it again", e.Err)
	case EndDamaged:
		return fmt.Sprintf("the broker stopped, because its disk gives back other bytes than were written to the catalog: %v; check the disk. "+
			"If the others are a majority, empty the data folder and run: broker start -join -config FILE", e.Err)
	default:
		return e.Err.Error()
	}
}

func (e *End) Unwrap() error { return e.Err }

// OutOfCluster reports whether the cluster goes on without this process, so that starting it again with its present data
// folder is of no use before somebody has decided what is to go on.
func (e *End) OutOfCluster() bool {
	return e.Kind == EndSuperseded || e.Kind == EndRemoved || e.Kind == EndOutdated || e.Kind == EndTaken
}

// endFor makes the node end after this step. The first reason counts.
func (n *Node) endFor(kind EndKind, err error) {
	if n.ended == nil {
		n.ended = &End{kind, err}
	}
}

// superseded ends a broker whose id another process has taken since: one that came with an empty disk, while this one
// was thought lost. The other brokers don't count on this one's replicas any more.
func (n *Node) superseded(incarnation uint32, where string) {
	n.endFor(EndSuperseded, fmt.Errorf("the broker stopped, because broker %d has joined the cluster anew, as incarnation %d%s, and this is incarnation %d: "+
		"the other one has taken its place. If both are wanted, give this one another broker_id; in any case remove its data folder", n.self, incarnation, where, n.cfg.Incarnation))
}

// IncarnationError ends a broker that joins with an incarnation below one that the cluster has seen of its id. Nothing
// has been answered for under the lower number, so it may take a higher one and go on.
type IncarnationError struct {
	Broker      BrokerID
	Incarnation uint32
	Known       uint32 // the cluster has seen, says
	By          BrokerID
}

func (e *IncarnationError) Error() string {
	return fmt.Sprintf("broker %d joins as incarnation %d, but broker %d knows it as incarnation %d already; start it again with a higher one", e.Broker, e.Incarnation, e.By, e.Known)
}
