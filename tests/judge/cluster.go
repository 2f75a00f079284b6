// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"chronik/tests/rig"
)

// cluster is brokers that can be asked, Kafka's or ours; their ids are 1, 2 and so on.
type cluster interface {
	KafkaAddr(id int) string
	Kill(ids ...int) error
	Close()
}

// racks are where the brokers of a cluster of three stand.
var racks = map[int]string{1: "a", 2: "b", 3: "c"}

// startOurs starts brokers of this tree.
func startOurs(ctx context.Context, o rig.Options, brokers int, secured bool) (cluster, error) {
	o.Brokers, o.Settings = brokers, map[string]string{"group_initial_delay_ms": "0", "group_partitions": "2"}
	if secured {
		file := filepath.Join(o.Dir, "password")
		if err := errors.Join(os.MkdirAll(o.Dir, 0o755), os.WriteFile(file, []byte(password(administrator)+"\n"), 0o600)); err != nil {
			return nil, err
		}
		maps.Copy(o.Settings, map[string]string{
			"sasl": fmt.Sprintf("%q", mechanism), "first_user": fmt.Sprintf("%q", administrator), "first_user_password_file": fmt.Sprintf("%q", file),
		})
	}
	if brokers > 1 {
		o.Own = make(map[int]map[string]string)
		for id, rack := range racks {
			o.Own[id] = map[string]string{"rack": fmt.Sprintf("%q", rack)}
		}
	}
	return rig.Start(ctx, o)
}

// askScenes plays scenes with a cluster and returns its answers.
func askScenes(c cluster, l *lens, scenes []scene) (all []answer, err error) {
	for _, scene := range scenes {
		s := &session{broker: &broker{addr: c.KafkaAddr(1)}, scene: scene.name, cluster: c, lens: l}
		scene.play(s)
		s.hangUp()
		if s.err != nil {
			return all, s.err
		}
		all = append(all, s.answers...)
	}
	return all, nil
}

// at goes on with another broker.
func (s *session) at(id int) {
	s.hangUp()
	s.addr = s.cluster.KafkaAddr(id)
}

func (b *broker) hangUp() {
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
}

// without are the fields of a set but for some.
func without(set map[string]bool, names ...string) map[string]bool {
	rest := maps.Clone(set)
	for _, name := range names {
		delete(rest, name)
	}
	return rest
}
