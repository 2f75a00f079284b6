// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// The entries of a coordinator are its leader's own decisions, but the log may hold what another release wrote. An
// entry with a record that this one can't parse changes nothing, on all replicas alike: so it is looked at as a whole,
// by a pure function of its bytes, before any of it is applied. A later release may add a kind of record; it must
// write it only when every broker knows it.

// errGroupRecord says that a record of a coordinator means nothing to this release.
var errGroupRecord = errors.New("not a record of consumer groups that this release knows")

// checkGroupBatch reports why an entry of a coordinator can't be applied.
func checkGroupBatch(batch []byte) error {
	if _, err := kafka.ParseBatch(batch); err != nil {
		return err
	}
	return kafka.Records(batch, func(_, _ int64, key, value []byte) error { return checkGroupRecord(key, value) })
}

func checkGroupRecord(key, value []byte) error {
	if len(key) < 2 {
		return fmt.Errorf("%w: its key has %d bytes", errGroupRecord, len(key))
	}
	switch kind := binary.BigEndian.Uint16(key); kind {
	case 0, keyOffset:
		return checkOffsetRecord(key, value)
	case keyGroup:
		return checkMetadataRecord(key, value)
	case keyModernGroup, keyModernMember:
		return checkModernRecord(key, value)
	default:
		return fmt.Errorf("%w: its key is of kind %d", errGroupRecord, kind)
	}
}

func checkOffsetRecord(key, value []byte) error {
	var k kmsg.OffsetCommitKey
	if err := k.ReadFrom(key); err != nil || k.Topic == "" {
		return fmt.Errorf("%w: the key of an offset of topic %.60q: %v", errGroupRecord, k.Topic, err)
	}
	var v kmsg.OffsetCommitValue
	if value == nil {
		return nil
	}
	if err := v.ReadFrom(value); err != nil || v.Version > offsetValueForm {
		return fmt.Errorf("%w: an offset in form %d: %v", errGroupRecord, v.Version, err)
	}
	return nil
}

func checkMetadataRecord(key, value []byte) error {
	var k kmsg.GroupMetadataKey
	if err := k.ReadFrom(key); err != nil {
		return fmt.Errorf("%w: the key of a group: %v", errGroupRecord, err)
	}
	var v kmsg.GroupMetadataValue
	if value == nil {
		return nil
	}
	if err := v.ReadFrom(value); err != nil || v.Version > groupValueForm || len(v.Members) > 0 && (v.Protocol == nil || v.Leader == nil) {
		return fmt.Errorf("%w: a group in form %d with %d members: %v", errGroupRecord, v.Version, len(v.Members), err)
	}
	return nil
}

func checkModernRecord(key, value []byte) error {
	n := 4
	if len(key) >= n {
		n += int(binary.BigEndian.Uint16(key[2:]))
	}
	if len(key) < n || (binary.BigEndian.Uint16(key) == keyModernMember) != (len(key) > n) {
		return fmt.Errorf("%w: the key %x of a group of the new protocol", errGroupRecord, key)
	}
	member := string(key[n:])
	switch {
	case value == nil:
		return nil
	case member == "":
		if err := json.Unmarshal(value, new(modernState)); err != nil {
			return fmt.Errorf("%w: a group of the new protocol: %v", errGroupRecord, err)
		}
	default:
		var m modernMember
		if err := json.Unmarshal(value, &m); err != nil || m.ID != member {
			return fmt.Errorf("%w: member %.60q of a group of the new protocol: %v", errGroupRecord, member, err)
		}
	}
	return nil
}
