// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker's log has the level of its one logger (KIP-412).
const rootLogger = "root"

func parseLogLevel(words []string, _ io.Reader) (action, error) {
	o := newOptions("log-level")
	broker := o.Int("broker", -1, "")
	rest, err := o.words(words, 0, 1)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a *admin) error {
		brokers, err := a.brokersNamed(ctx, *broker)
		if err != nil {
			return err
		}
		if len(rest) == 1 {
			return a.setLogLevel(ctx, brokers, rest[0])
		}
		return a.logLevels(ctx, brokers, *o.json)
	}, nil
}

// brokersNamed is one broker, or all that are connected if the id is below 0.
func (a *admin) brokersNamed(ctx context.Context, id int) ([]int32, error) {
	if id >= 0 {
		return []int32{int32(id)}, nil
	}
	state, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	return state.live(), nil
}

// brokerLevel is the level of a broker's log.
type brokerLevel struct {
	Broker int32  `json:"broker"`
	Level  string `json:"level"`
}

func (a *admin) logLevels(ctx context.Context, brokers []int32, asJSON bool) error {
	var all []brokerLevel
	for _, id := range brokers {
		level, err := a.logLevel(ctx, id)
		if err != nil {
			return fmt.Errorf("broker %d: %w", id, err)
		}
		all = append(all, brokerLevel{id, level})
	}
	if asJSON {
		return a.print(all)
	}
	var rows [][]any
	for _, l := range all {
		rows = append(rows, []any{l.Broker, l.Level})
	}
	a.table("broker level", rows)
	return nil
}

func (a *admin) logLevel(ctx context.Context, broker int32) (string, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeBrokerLogger, strconv.Itoa(int(broker)), []string{rootLogger}
	req.Resources = append(req.Resources, r)
	resp, err := askOther[*kmsg.DescribeConfigsResponse](ctx, a, []int32{broker}, req)
	if err != nil {
		return "", err
	}
	for _, r := range resp.Resources {
		if err := refusal(r.ErrorCode, r.ErrorMessage); err != nil {
			return "", err
		}
		for _, c := range r.Configs {
			if c.Name == rootLogger && c.Value != nil {
				return strings.ToLower(*c.Value), nil
			}
		}
	}
	return "", fmt.Errorf("it doesn't say")
}

func (a *admin) setLogLevel(ctx context.Context, brokers []int32, level string) error {
	for _, id := range brokers {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r, c := kmsg.NewIncrementalAlterConfigsRequestResource(), kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = rootLogger, kmsg.StringPtr(strings.ToUpper(level))
		r.ResourceType, r.ResourceName, r.Configs = kmsg.ConfigResourceTypeBrokerLogger, strconv.Itoa(int(id)), append(r.Configs, c)
		req.Resources = append(req.Resources, r)
		resp, err := askOther[*kmsg.IncrementalAlterConfigsResponse](ctx, a, []int32{id}, req)
		if err != nil {
			return fmt.Errorf("broker %d: %w", id, err)
		}
		for _, r := range resp.Resources {
			if err := refusal(r.ErrorCode, r.ErrorMessage); err != nil {
				return fmt.Errorf("broker %d: %w", id, err)
			}
		}
		a.say("broker %d logs at level %s until it ends; its next start goes by its settings", id, strings.ToLower(level))
	}
	return nil
}
