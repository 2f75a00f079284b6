// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Marker is what a control batch says: a transaction of a producer has ended (KIP-98). Its one record has a key of a
// version and a type, 0 for abort and 1 for commit, and a value of a version and the epoch of the transaction's
// coordinator. Here a number follows, that of the decision: clients read no further than the key.
//
// A marker that nobody reads any more has no record (SpentMarker). Then the header says the same: the number instead of
// the first timestamp, which means nothing as the batch has the broker's time, the type instead of the sequence, and the
// coordinator's epoch instead of the leader's, which is filled in on the way out.
type Marker struct {
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Commit           bool
	Number           uint64 // of the decision, 0: unknown
}

const (
	markerAbort  = 0
	markerCommit = 1
)

// AppendMarker appends the control batch for a marker of a time in ms.
func AppendMarker(dst []byte, m Marker, ms int64) []byte {
	be := binary.BigEndian
	value := be.AppendUint32(make([]byte, 2, 14), uint32(m.CoordinatorEpoch))
	spec := NewBatchSpec(Record{Key: []byte{0, 0, 0, m.kind()}, Value: be.AppendUint64(value, m.Number)})
	spec.Attributes = TransactionalFlag | ControlFlag
	spec.FirstTimestamp, spec.ProducerID, spec.ProducerEpoch = ms, m.ProducerID, m.ProducerEpoch
	return AppendBatch(dst, spec)
}

func (m *Marker) kind() byte {
	if m.Commit {
		return markerCommit
	}
	return markerAbort
}

// ParseMarker reads a control batch, with its record or without.
func ParseMarker(raw []byte) (m Marker, err error) {
	b, err := ParseBatch(raw)
	if err != nil {
		return m, err
	}
	m = Marker{ProducerID: b.ProducerID, ProducerEpoch: b.ProducerEpoch}
	kind := b.BaseSequence
	switch {
	case !b.IsControl() || b.ProducerID < 0 || b.ProducerEpoch < 0 || b.LastOffsetDelta != 0 || b.Count > 1:
		return m, errMarker
	case b.Count == 0:
		m.Number, m.CoordinatorEpoch = uint64(b.FirstTimestamp), b.LeaderEpoch
	default:
		err = Records(raw, func(_, _ int64, key, value []byte) error {
			if len(key) < 4 || len(value) < 6 {
				return errMarker
			}
			be := binary.BigEndian
			kind, m.CoordinatorEpoch = int32(int16(be.Uint16(key[2:]))), int32(be.Uint32(value[2:]))
			if len(value) >= 14 {
				m.Number = be.Uint64(value[6:])
			}
			return nil
		})
	}
	if err == nil && kind != markerAbort && kind != markerCommit {
		err = errMarker
	}
	m.Commit = kind == markerCommit
	return m, err
}

var errMarker = Errorf(kerr.InvalidRecord, "a control batch that is no transaction marker")

// SpentMarker returns a marker without its record, which means the same.
func SpentMarker(raw []byte) ([]byte, error) {
	m, err := ParseMarker(raw)
	if err != nil {
		return nil, err
	}
	b := readBatchHeader(raw)
	if b.Count == 0 {
		return raw, nil
	}
	b.Attributes |= LogAppendTimeFlag
	b.FirstTimestamp, b.LeaderEpoch, b.BaseSequence = int64(m.Number), m.CoordinatorEpoch, int32(m.kind())
	return EmptyBatch(b), nil
}
