// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	movesAtOnce = 20 // partitions under way; more would only share the same disks and network
	moveCheck   = 200 * time.Millisecond
	moveHint    = 30 * time.Second // without progress, until it is said what may be wrong
	moveTimeout = 10_000           // ms, for a move to be taken in, not to be done
)

// drain moves all replicas of some brokers to the others. It goes on until there are none, as topics may
// be created meanwhile.
func (a *admin) drain(ctx context.Context, leaving []int32) error {
	for {
		c, err := a.look(ctx)
		if err != nil {
			return err
		}
		n := 0
		for _, b := range leaving {
			n += c.replicasOn(b)
		}
		if n == 0 {
			a.say("no replicas are left on brokers %v", leaving)
			return nil
		}
		p := newPlan(c.partitions, c.live())
		if p.machines, err = a.machines(ctx, c.live()); err != nil {
			return err
		}
		if err := p.drain(leaving); err != nil {
			return err
		}
		if err := a.move(ctx, p.changes(c.partitions)); err != nil {
			return err
		}
	}
}

// machines asks brokers on which machines they are. Those that name none, as Kafka's, aren't in the answer.
func (a *admin) machines(ctx context.Context, brokers []int32) (map[int32]string, error) {
	configs, err := kadm.NewClient(a.client).DescribeBrokerConfigs(ctx, brokers...)
	if err != nil {
		return nil, fmt.Errorf("asking brokers on which machines they are: %w", err)
	}
	on := make(map[int32]string)
	for _, r := range configs {
		id, err := strconv.Atoi(r.Name)
		if err != nil || r.Err != nil {
			continue // the cluster refuses what doesn't fit all the same
		}
		for _, c := range r.Configs {
			if c.Key == "broker.machine" {
				on[int32(id)] = c.MaybeValue()
			}
		}
	}
	return on, nil
}

// machinesPatience is how long status waits for a broker to say on which machine it is. One that hangs mustn't hold up what the others say, and
// the client gives up a connection only after ten seconds.
const machinesPatience = 3 * time.Second

// machinesSoon asks brokers on which machines they are, and returns what they say before long, and those that are silent.
func (a *admin) machinesSoon(ctx context.Context, brokers []int32) (on map[int32]string, silent []int32) {
	type answer struct {
		from int32
		on   map[int32]string
		err  error
	}
	answers := make(chan answer, len(brokers))
	for _, b := range brokers {
		go func() {
			on, err := a.machines(ctx, []int32{b})
			answers <- answer{b, on, err}
		}()
	}
	on, silent = make(map[int32]string), slices.Clone(brokers)
	late := time.After(machinesPatience)
	for range brokers {
		select {
		case w := <-answers:
			if w.err == nil {
				maps.Copy(on, w.on)
				silent = slices.DeleteFunc(silent, func(b int32) bool { return b == w.from })
			}
		case <-late:
			return on, silent
		}
	}
	return on, silent
}

// rebalance spreads replicas and leaders evenly over all brokers that are alive, and first takes apart replicas of a partition that are on one machine.
func (a *admin) rebalance(ctx context.Context) error {
	c, err := a.look(ctx)
	if err != nil {
		return err
	}
	p := newPlan(c.partitions, c.live())
	if p.machines, err = a.machines(ctx, c.live()); err != nil {
		return err
	}
	if left := p.separate(); len(left) > 0 {
		a.say("%d partitions keep two replicas on one machine, because no live broker on another one is without: add a broker, or name machines otherwise: %s", len(left), strings.Join(left[:min(len(left), 10)], ", "))
	}
	p.spread()
	if err := a.move(ctx, p.changes(c.partitions)); err != nil {
		return err
	}
	a.say("replicas are spread over brokers %v; now their leaders", c.live())
	return a.elect(ctx, nil)
}

// move gives partitions new replicas, some at a time, and waits until they have them.
func (a *admin) move(ctx context.Context, wanted []partition) error {
	todo, open := wanted, []partition(nil)
	begin := time.Now()
	lastChange := begin
	for len(todo)+len(open) > 0 {
		n := min(movesAtOnce-len(open), len(todo))
		if err := a.reassign(ctx, todo[:n]); err != nil {
			return err
		}
		open, todo = append(open, todo[:n]...), todo[n:]
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped; %d moves go on by themselves: see broker admin status", len(open))
		case <-time.After(moveCheck):
		}
		c, err := a.look(ctx)
		if err != nil {
			return err
		}
		before := len(open)
		open = slices.DeleteFunc(open, func(p partition) bool {
			now, there := c.find(p.topic, p.index)
			return !there || slices.Equal(now.replicas, p.replicas) // deleted, or done
		})
		switch {
		case len(open) < before:
			lastChange = time.Now()
			done := len(wanted) - len(todo) - len(open)
			a.say("moved %d of %d partitions%s", done, len(wanted), left(done, len(wanted), time.Since(begin)))
		case time.Since(lastChange) > moveHint:
			lastChange = time.Now()
			a.say("waiting: %s", a.hint(c, open))
		}
	}
	return nil
}

// left is how long the rest takes if it goes on as it went; nothing is said before there is something to judge by.
func left(done, all int, took time.Duration) string {
	if done <= 0 || done >= all || took < time.Second {
		return ""
	}
	rest := time.Duration(float64(took) / float64(done) * float64(all-done))
	return fmt.Sprintf(", about %v left", rest.Round(time.Second))
}

// hint says what moves may be waiting for.
func (a *admin) hint(c *cluster, open []partition) string {
	var dead []string
	for _, p := range open {
		for _, b := range p.replicas {
			if text := fmt.Sprint(b); !slices.Contains(c.live(), b) && !slices.Contains(dead, text) {
				dead = append(dead, text)
			}
		}
	}
	if len(dead) > 0 {
		return fmt.Sprintf("%d partitions are to move to brokers that are not connected: %s", len(open), strings.Join(dead, ", "))
	}
	return fmt.Sprintf("%d partitions are being copied, among them %v", len(open), open[0])
}

// reassign tells the cluster where partitions shall be.
func (a *admin) reassign(ctx context.Context, partitions []partition) error {
	if len(partitions) == 0 {
		return nil
	}
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = moveTimeout
	for _, p := range partitions {
		t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		part := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		part.Partition, part.Replicas = p.index, p.replicas
		t.Topic, t.Partitions = p.topic, append(t.Partitions, part)
		req.Topics = append(req.Topics, t)
	}
	resp, err := ask[*kmsg.AlterPartitionAssignmentsResponse](ctx, a, req)
	if err != nil {
		return err
	}
	if err := refusal(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := refusal(p.ErrorCode, p.ErrorMessage); err != nil {
				return fmt.Errorf("partition %s/%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

// transfer lets the preferred replica of a partition lead, after making that the one on the given
// broker, if there is one.
func (a *admin) transfer(ctx context.Context, topic string, index int32, to []int32) error {
	c, err := a.look(ctx)
	if err != nil {
		return err
	}
	p, ok := c.find(topic, index)
	if !ok {
		return fmt.Errorf("there is no partition %d of a topic %q", index, topic)
	}
	if len(to) > 0 && p.replicas[0] != to[0] {
		if !slices.Contains(p.replicas, to[0]) {
			return fmt.Errorf("partition %v has its replicas on brokers %v, and none on %d", p, p.replicas, to[0])
		}
		pl := newPlan([]partition{p}, c.live())
		pl.prefer(&pl.partitions[0], to[0])
		p = pl.partitions[0]
		if err := a.move(ctx, []partition{p}); err != nil {
			return err
		}
	}
	if err := a.elect(ctx, []partition{p}); err != nil {
		return err
	}
	a.say("partition %v is led by broker %d", p, p.replicas[0])
	return nil
}

// elect lets the preferred replicas of partitions lead, of all if none is given.
func (a *admin) elect(ctx context.Context, partitions []partition) error {
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = moveTimeout
	for _, p := range partitions {
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = p.topic, []int32{p.index}
		req.Topics = append(req.Topics, t)
	}
	resp, err := ask[*kmsg.ElectLeadersResponse](ctx, a, req)
	if err != nil {
		return err
	}
	if err := refusal(resp.ErrorCode, nil); err != nil {
		return err
	}
	var trouble []string
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := refusal(p.ErrorCode, p.ErrorMessage); err != nil && p.ErrorCode != kerr.ElectionNotNeeded.Code {
				trouble = append(trouble, fmt.Sprintf("%s/%d: %v", t.Topic, p.Partition, err))
			}
		}
	}
	if len(trouble) > 0 {
		return fmt.Errorf("%d partitions are not led by their preferred replica: its broker must be alive and its copy up to date; try again later:\n  %s",
			len(trouble), strings.Join(trouble, "\n  "))
	}
	return nil
}
