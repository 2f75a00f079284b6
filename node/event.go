// SPDX-License-Identifier: Apache-2.0

package node

// EventKind names something worth counting or telling an operator. The simulator lists the kinds
// that no run has ever reached.
type EventKind uint8

const (
	EventInvalid           EventKind = iota
	EventBecameLeader                // Group, Term
	EventLostLeadership              // Group, Term
	EventNewTerm                     // Group, Term
	EventVoted                       // Group, Term, N = the broker voted for
	EventAppended                    // Group, Term, N = last index handed to the log by raft
	EventCommitted                   // Group, N = commit index
	EventTruncated                   // Group, N = first index that was replaced
	EventHeldMessage                 // Group, Term: the hold rule kept a message back until the term is durable
	EventColdRead                    // Group, N = first index read from the log's files
	EventSegmentRolled               // N = sequence number of the new segment
	EventSegmentRecycled             // N = segments released since Open
	EventTornTail                    // at Open; N = bytes cut
	EventRecovered                   // at Open; N = entries found
	EventTopicCreated                // Text = name
	EventCatalogChanged              // Term and N = entry, Text = what a command changed
	EventCommandSent                 // N = its number: a command to the catalog is under way from this broker
	EventTwoReplicas                 // Text = name of a topic that a client just made with two replicas
	EventCreationRefused             // Text = what a client wanted that isn't made by a limit, and why
	EventTopicDeleted                // Text = name
	EventPartitionDeleted            // Group; after its topic's
	EventBrokerRegistered            // N = broker id
	EventDuplicateBatch              // Group, N = offset answered again: a retry met the producer's window
	EventSequenceRefused             // Group, N = producer id
	EventFetchParked                 // a fetch waits, at partitions of any number of groups
	EventRequestRefused              // Text = why; the connection is closed
	EventCommandRefused              // N = broker that it came from, Text = why
	EventEnvelopeRefused             // N = broker that sent it, Text = why
	EventReady                       // this broker is registered in the catalog and serves
	EventSecondProcess               // N = broker whose id another process has, too, Text = which, and what becomes of it
	EventFoundersDiffer              // N = broker that founds another cluster, Text = both lists, and what to do
	EventNotReady                    // Text = what this broker waits for, and what to do
	EventTermsRunOut                 // Group, Term, N = how many are left
	EventLeadershipMoved             // Group, N = broker that takes over
	EventGaveWay                     // Group, Term, N = broker that is to lead, since most have no room for what this leader holds
	EventCheckpoint                  // Group, Term, N = entry whose state was kept
	EventReleased                    // Group, Term, N = first entry that is still in the log
	EventSnapshotSent                // Group, Term, N = entry; a follower was told to fetch the checkpoint
	EventSnapshotInstalled           // Group, Term, N = entry; another broker's checkpoint took the place of the log
	EventLogStartMoved               // Group, N = first offset that can be read
	EventCompacted                   // Group, N = offset up to which records with newer values are dropped
	EventLogDamaged                  // Text = what a scrub found beside entries; the log repairs it by itself
	EventDiskFull                    // N = 1: the disk is full, 0: there is room again
	EventReadFailed                  // Group, N = entry, Text = why a read failed; it is tried again
	EventReplicaDamaged              // Group, Term, N = entry that can't be read back, Text = why
	EventBrokerRemoved               // N = broker id, Term = its incarnation
	EventReplicasChanged             // Group, Term, N = number of voters
	EventInSyncChanged               // Group, Term, N = number of replicas in sync, the leader's included
	EventProposalLost                // Group, N = proposals whose fate is unknown because leadership ended
	EventGroupGeneration             // Group, Text = consumer group, N = generation that all its members joined
	EventGroupMemberLost             // Group, Text = consumer group whose member was silent for too long
	EventGroupExpired                // Group, Text = consumer group that is forgotten with its offsets
	EventOffsetCommit                // Group, Text = consumer group, N = offsets that go into the log
	EventEntryRefused                // Group, N = entry, Text = why it changes nothing, on any replica
	EventProducersGone               // Group, N = idempotent producers that were silent for too long and are forgotten
	EventTransactionEnded            // Group, N = offset of the marker
	EventMarkerIgnored               // Group, N = producer id: a marker that ends nothing, came before, or is of an older epoch
	EventTxnTimedOut                 // Group, Text = transactional id whose transaction took too long and is aborted
	EventBrokerSilent                // N = broker that wasn't heard for an election timeout; quiet groups with a replica there wake
	EventGroupQuiet                  // Group, Term, N = 1: this replica leads it
	EventGroupWoken                  // Group, Term, N = 1: this replica leads it
	EventLoggedIn                    // N = connection, Text = who
	EventLoginFailed                 // N = connection, Text = from where, and why; Audit
	EventAccessDenied                // Text = who may not do what to what, and asked for it; Audit
	EventAudited                     // N = connection, Audit = what somebody changed that others rely on, or tried to
	EventErrorAnswered               // N = connection, Audit = which error a client gets, Text = why, Term = how many weren't told since the last one; at LogDebug

	EventKinds // how many there are
)

// Event is something that happened inside a Step, for people and counters.
type Event struct {
	Kind  EventKind
	Group GroupID
	Term  uint64
	N     int64
	Text  string
	Audit *Audit // nil: it isn't about a client
}

var eventNames = [EventKinds]string{
	EventBecameLeader:      "became leader",
	EventLostLeadership:    "lost leadership",
	EventNewTerm:           "new term",
	EventVoted:             "voted",
	EventAppended:          "appended",
	EventCommitted:         "committed",
	EventTruncated:         "truncated",
	EventHeldMessage:       "held message",
	EventColdRead:          "cold read",
	EventSegmentRolled:     "segment rolled",
	EventSegmentRecycled:   "segment recycled",
	EventTornTail:          "torn tail",
	EventRecovered:         "recovered",
	EventTopicCreated:      "topic created",
	EventCatalogChanged:    "catalog changed",
	EventCommandSent:       "command sent",
	EventTwoReplicas:       "two replicas",
	EventCreationRefused:   "creation refused",
	EventTopicDeleted:      "topic deleted",
	EventPartitionDeleted:  "partition deleted",
	EventBrokerRegistered:  "broker registered",
	EventDuplicateBatch:    "duplicate batch",
	EventSequenceRefused:   "sequence refused",
	EventFetchParked:       "fetch parked",
	EventRequestRefused:    "request refused",
	EventCommandRefused:    "command refused",
	EventEnvelopeRefused:   "envelope refused",
	EventReady:             "ready",
	EventSecondProcess:     "second process",
	EventFoundersDiffer:    "founders differ",
	EventNotReady:          "not ready",
	EventTermsRunOut:       "terms run out",
	EventLeadershipMoved:   "leadership moved",
	EventGaveWay:           "gave way",
	EventCheckpoint:        "checkpoint",
	EventReleased:          "released",
	EventSnapshotSent:      "snapshot sent",
	EventSnapshotInstalled: "snapshot installed",
	EventProducersGone:     "producers forgotten",
	EventLogStartMoved:     "log start moved",
	EventCompacted:         "compacted",
	EventLogDamaged:        "log damaged",
	EventDiskFull:          "disk full",
	EventReadFailed:        "read failed",
	EventReplicaDamaged:    "replica damaged",
	EventBrokerRemoved:     "broker removed",
	EventReplicasChanged:   "replicas changed",
	EventInSyncChanged:     "in sync changed",
	EventProposalLost:      "proposal lost",
	EventGroupGeneration:   "group generation",
	EventGroupMemberLost:   "group member lost",
	EventGroupExpired:      "group expired",
	EventOffsetCommit:      "offset commit",
	EventEntryRefused:      "entry refused",
	EventTxnTimedOut:       "transaction timed out",
	EventTransactionEnded:  "transaction ended",
	EventMarkerIgnored:     "marker ignored",
	EventBrokerSilent:      "broker silent",
	EventGroupQuiet:        "group quiet",
	EventGroupWoken:        "group woken",
	EventLoggedIn:          "logged in",
	EventLoginFailed:       "login failed",
	EventAccessDenied:      "access denied",
	EventAudited:           "audited",
	EventErrorAnswered:     "error answered",
}

// String returns the event's name, e.g. "became leader".
func (k EventKind) String() string { return eventNames[k] }
