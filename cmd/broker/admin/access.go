// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rule is who may or may not do what (an ACL).
type rule struct {
	Permission string `json:"permission"`
	Principal  string `json:"principal"`
	Host       string `json:"host"`
	Operation  string `json:"operation"`
	Resource   string `json:"resource"`
	Pattern    string `json:"pattern"`
	Name       string `json:"name"`
}

// parseListing takes the words of a command that lists something.
func parseListing(name string, list func(context.Context, *admin, bool) error) func([]string, io.Reader) (action, error) {
	return func(args []string, _ io.Reader) (action, error) {
		o := newOptions(name)
		if _, err := o.words(args, 0, 0); err != nil {
			return nil, err
		}
		return func(ctx context.Context, a *admin) error { return list(ctx, a, *o.json) }, nil
	}
}

func (a *admin) listRules(ctx context.Context, asJSON bool) error {
	rules, err := a.rules(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return a.print(rules)
	}
	var rows [][]any
	for _, r := range rules {
		rows = append(rows, []any{r.Permission, r.Principal, r.Host, r.Operation, r.Resource, r.Pattern, r.Name})
	}
	a.table("permission principal host operation resource pattern name", rows)
	return nil
}

// rules asks for all rules.
func (a *admin) rules(ctx context.Context) ([]rule, error) {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	resp, err := ask[*kmsg.DescribeACLsResponse](ctx, a, req)
	if err != nil {
		return nil, err
	}
	if err := refusal(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	rules := []rule{}
	for _, r := range resp.Resources {
		for _, e := range r.ACLs {
			rules = append(rules, rule{
				word(e.PermissionType), e.Principal, e.Host, word(e.Operation), word(r.ResourceType), word(r.ResourcePatternType), r.ResourceName,
			})
		}
	}
	return rules, nil
}

func word(v fmt.Stringer) string { return strings.ToLower(v.String()) }

// quotaState is the quotas of somebody.
type quotaState struct {
	Of     map[string]string  `json:"of"` // by type; "" is the default
	Values map[string]float64 `json:"values"`
	name   string
}

func (a *admin) listQuotas(ctx context.Context, asJSON bool) error {
	list, err := a.quotas(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return a.print(list)
	}
	var rows [][]any
	for _, q := range list {
		for _, name := range slices.Sorted(maps.Keys(q.Values)) {
			rows = append(rows, []any{q.name, name, fmt.Sprintf("%.10g", q.Values[name])})
		}
	}
	a.table("of quota value", rows)
	return nil
}

func (a *admin) quotas(ctx context.Context) ([]quotaState, error) {
	described, err := a.kadm.DescribeClientQuotas(ctx, false, nil)
	if err != nil {
		return nil, err
	}
	list := []quotaState{}
	for _, d := range described {
		q := quotaState{Of: make(map[string]string), Values: make(map[string]float64)}
		var of []string
		for _, e := range d.Entity {
			name := ""
			if e.Name != nil {
				name = *e.Name
			}
			q.Of[e.Type] = name
			of = append(of, fmt.Sprintf("%s=%s", e.Type, orDefault(e.Name)))
		}
		for _, v := range d.Values {
			q.Values[v.Key] = v.Value
		}
		q.name = strings.Join(of, ",")
		list = append(list, q)
	}
	return list, nil
}

func orDefault(name *string) string {
	if name == nil {
		return "(default)"
	}
	return *name
}

// transactionState is what transactions prints of a transactional id.
type transactionState struct {
	ID          string   `json:"id"`
	State       string   `json:"state"`
	Producer    int64    `json:"producer"`
	Coordinator int32    `json:"coordinator"`
	Epoch       int16    `json:"epoch,omitempty"`
	Since       string   `json:"since,omitempty"`
	TimeOutMs   int32    `json:"timeout_ms,omitempty"`
	Partitions  []string `json:"partitions,omitempty"`
}

func parseTransactions(args []string, in io.Reader) (action, error) {
	sub, args := subcommand(args, "list", "describe")
	if sub != "describe" {
		return parseListing("transactions", func(ctx context.Context, a *admin, asJSON bool) error { return a.listTransactions(ctx, asJSON) })(args, in)
	}
	o := newOptions("transactions describe")
	ids, err := o.words(args, 1, 1000)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a *admin) error { return a.describeTransactions(ctx, ids, *o.json) }, nil
}

func (a *admin) listTransactions(ctx context.Context, asJSON bool) error {
	listed, err := a.kadm.ListTransactions(ctx, nil, nil)
	if err != nil {
		return err
	}
	list, rows := []transactionState{}, [][]any(nil)
	for _, t := range listed.Sorted() {
		list = append(list, transactionState{ID: t.TxnID, State: t.State, Producer: t.ProducerID, Coordinator: t.Coordinator})
		rows = append(rows, []any{t.TxnID, t.State, t.ProducerID, t.Coordinator})
	}
	if asJSON {
		return a.print(list)
	}
	a.table("transactional-id state producer coordinator", rows)
	return nil
}

func (a *admin) describeTransactions(ctx context.Context, ids []string, asJSON bool) error {
	described, err := a.kadm.DescribeTransactions(ctx, ids...)
	if err != nil {
		return err
	}
	list := []transactionState{}
	for _, t := range described.Sorted() {
		if t.Err != nil {
			return fmt.Errorf("transactional id %s: %w", t.TxnID, t.Err)
		}
		list = append(list, transactionOf(t))
	}
	if asJSON {
		return a.print(list)
	}
	for _, t := range list {
		a.say("transactional id %s: %s; producer %d, epoch %d, time-out %v; its coordinator is broker %d",
			t.ID, t.State, t.Producer, t.Epoch, time.Duration(t.TimeOutMs)*time.Millisecond, t.Coordinator)
		if t.Since != "" {
			a.say("  open since %s, in %s", t.Since, strings.Join(t.Partitions, " "))
		}
	}
	return nil
}

func transactionOf(t kadm.DescribedTransaction) transactionState {
	s := transactionState{ID: t.TxnID, State: t.State, Producer: t.ProducerID, Coordinator: t.Coordinator, Epoch: t.ProducerEpoch, TimeOutMs: t.TimeoutMillis}
	for _, in := range t.Topics.Sorted() {
		for _, p := range in.Partitions {
			s.Partitions = append(s.Partitions, fmt.Sprintf("%s/%d", in.Topic, p))
		}
	}
	if t.StartTimestamp > 0 && len(s.Partitions) > 0 {
		s.Since = time.UnixMilli(t.StartTimestamp).UTC().Format(time.RFC3339)
	}
	return s
}
