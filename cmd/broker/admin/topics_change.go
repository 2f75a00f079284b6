// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
)

// parseTopicCreate takes the words after "topics create".
func parseTopicCreate(args []string) (action, error) {
	o := newOptions("topics create")
	partitions, replicas := o.Int("partitions", -1, ""), o.Int("replicas", -1, "") // -1: the cluster's default
	settings := make(map[string]*string)
	o.Func("config", "", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("write it as NAME=VALUE")
		}
		settings[name] = &value
		return nil
	})
	names, err := o.words(args, 1, 1000)
	if err != nil {
		return nil, err
	}
	if *partitions < -1 || *partitions == 0 || *partitions > math.MaxInt32 || *replicas < -1 || *replicas == 0 || *replicas > math.MaxInt16 {
		return nil, errors.New("admin topics create: -partitions and -replicas are numbers above 0")
	}
	return func(ctx context.Context, a *admin) error {
		done, err := a.kadm.CreateTopics(ctx, int32(*partitions), int16(*replicas), settings, names...)
		if err != nil {
			return err
		}
		failed := error(nil)
		for _, t := range done.Sorted() {
			switch {
			case t.Err == nil:
				a.say("created topic %s: %d partitions with %d replicas", t.Topic, t.NumPartitions, t.ReplicationFactor)
			case t.ErrMessage != "":
				failed = errors.Join(failed, fmt.Errorf("topic %s: %s", t.Topic, t.ErrMessage))
			default:
				failed = errors.Join(failed, fmt.Errorf("topic %s: %w", t.Topic, t.Err))
			}
		}
		return failed
	}, nil
}

// parseTopicDelete takes the words after "topics delete".
func parseTopicDelete(args []string) (action, error) {
	o := newOptions("topics delete")
	yes := o.Bool("yes", false, "")
	names, err := o.words(args, 1, 1000)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a *admin) error {
		topics, err := a.topics(ctx, true, names...)
		if err != nil {
			return err
		}
		a.listTopics(topics)
		if !*yes {
			a.say("nothing was deleted; add -yes to delete these %d topics with all their records", len(topics))
			return nil
		}
		done, err := a.kadm.DeleteTopics(ctx, names...)
		if err != nil {
			return err
		}
		if err := done.Error(); err != nil {
			return err
		}
		a.say("deleted %d topics", len(done))
		return nil
	}, nil
}
