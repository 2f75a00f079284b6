// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type userLine struct {
	Name       string   `json:"name"`
	Mechanisms []string `json:"mechanisms"`
}

type ruleLine struct {
	Principal string `json:"principal"`
	Host      string `json:"host"`
	Allows    bool   `json:"allows"`
	Operation string `json:"operation"`
	Resource  string `json:"resource"`
	Name      string `json:"name"`
	Pattern   string `json:"pattern"`
}

type quotaLine struct {
	Entity string  `json:"entity"`
	Key    string  `json:"key"`
	Value  float64 `json:"value"`
}

// part is a part of an answer that may fail alone.
type part struct {
	List  any    `json:"list"`
	Error string `json:"error,omitempty"`
}

// access answers with users, rules and quotas, each as far as the person may see them.
func access(ctx context.Context, s *session, _ *http.Request) (any, error) {
	users, usersErr := s.users(ctx)
	rules, rulesErr := s.rules(ctx)
	quotas, quotasErr := s.quotas(ctx)
	return map[string]part{"users": {users, textOf(usersErr)}, "rules": {rules, textOf(rulesErr)}, "quotas": {quotas, textOf(quotasErr)}}, nil
}

func (s *session) users(ctx context.Context) (list []userLine, err error) {
	list = []userLine{}
	resp, err := ask[*kmsg.DescribeUserSCRAMCredentialsResponse](ctx, s, kmsg.NewPtrDescribeUserSCRAMCredentialsRequest())
	if err != nil {
		return list, err
	}
	for _, u := range resp.Results {
		line := userLine{u.User, []string{}}
		for _, c := range u.CredentialInfos {
			line.Mechanisms = append(line.Mechanisms, map[int8]string{1: "SCRAM-SHA-256", 2: "SCRAM-SHA-512"}[c.Mechanism])
		}
		list = append(list, line)
	}
	slices.SortFunc(list, func(a, b userLine) int { return cmp.Compare(a.Name, b.Name) })
	return list, failed(resp.ErrorCode, resp.ErrorMessage)
}

func (s *session) rules(ctx context.Context) (list []ruleLine, err error) {
	list = []ruleLine{}
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	resp, err := ask[*kmsg.DescribeACLsResponse](ctx, s, req)
	if err != nil {
		return list, err
	}
	for _, r := range resp.Resources {
		for _, a := range r.ACLs {
			list = append(list, ruleLine{
				a.Principal, a.Host, a.PermissionType == kmsg.ACLPermissionTypeAllow, a.Operation.String(), r.ResourceType.String(), r.ResourceName, r.ResourcePatternType.String(),
			})
		}
	}
	slices.SortFunc(list, func(a, b ruleLine) int {
		return cmp.Or(cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Operation, b.Operation))
	})
	return list, failed(resp.ErrorCode, resp.ErrorMessage)
}

func (s *session) quotas(ctx context.Context) (list []quotaLine, err error) {
	list = []quotaLine{}
	resp, err := ask[*kmsg.DescribeClientQuotasResponse](ctx, s, kmsg.NewPtrDescribeClientQuotasRequest()) // without components: all
	if err != nil {
		return list, err
	}
	for _, e := range resp.Entries {
		who := ""
		for _, p := range e.Entity {
			name := "by default"
			if p.Name != nil {
				name = *p.Name
			}
			if who != "" {
				who += ", "
			}
			who += p.Type + " " + name
		}
		for _, v := range e.Values {
			list = append(list, quotaLine{who, v.Key, v.Value})
		}
	}
	slices.SortFunc(list, func(a, b quotaLine) int { return cmp.Or(cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.Key, b.Key)) })
	return list, failed(resp.ErrorCode, resp.ErrorMessage)
}

// txnLine is a transactional id and its transaction.
type txnLine struct {
	ID          string   `json:"id"`
	Producer    int64    `json:"producer"`
	Epoch       int16    `json:"epoch"`
	State       string   `json:"state"`
	Coordinator int32    `json:"coordinator"`
	Started     int64    `json:"started"` // ms; -1: it isn't open
	Timeout     int32    `json:"timeout"` // ms
	Partitions  []string `json:"partitions"`
	Error       string   `json:"error,omitempty"`
}

// maxTransactions is how many are described.
const maxTransactions = 200

// transactions answers with those that are under way first.
func transactions(ctx context.Context, s *session, _ *http.Request) (any, error) {
	answers, err := askAll[*kmsg.ListTransactionsResponse](ctx, s, kmsg.NewPtrListTransactionsRequest())
	if len(answers) == 0 && err != nil {
		return nil, err
	}
	list := []txnLine{}
	for _, a := range answers {
		err = cmp.Or(err, kerr.ErrorForCode(a.answer.ErrorCode))
		for _, t := range a.answer.TransactionStates {
			list = append(list, txnLine{ID: t.TransactionalID, Producer: t.ProducerID, State: t.TransactionState, Coordinator: a.broker, Started: -1, Partitions: []string{}})
		}
	}
	open := func(t txnLine) int {
		return btoi(t.State == "Ongoing" || t.State == "PrepareCommit" || t.State == "PrepareAbort")
	}
	slices.SortFunc(list, func(a, b txnLine) int { return cmp.Or(cmp.Compare(open(b), open(a)), cmp.Compare(a.ID, b.ID)) })
	total := len(list)
	list = list[:min(total, maxTransactions)]
	s.describeTransactions(ctx, list)
	return map[string]any{"transactions": list, "total": total, "error": textOf(err)}, nil
}

func (s *session) describeTransactions(ctx context.Context, list []txnLine) {
	if len(list) == 0 {
		return
	}
	req := kmsg.NewPtrDescribeTransactionsRequest()
	at := make(map[string]*txnLine)
	for i := range list {
		req.TransactionalIDs = append(req.TransactionalIDs, list[i].ID)
		at[list[i].ID] = &list[i]
		list[i].Error = "its coordinator doesn't answer"
	}
	answers, _ := askAll[*kmsg.DescribeTransactionsResponse](ctx, s, req) // what is missing says so
	for _, a := range answers {
		for _, t := range a.answer.TransactionStates {
			line := at[t.TransactionalID]
			if line == nil {
				continue
			}
			if line.Error = textOf(kerr.ErrorForCode(t.ErrorCode)); line.Error != "" {
				continue
			}
			line.State, line.Epoch, line.Started, line.Timeout = t.State, t.ProducerEpoch, t.StartTimestamp, t.TimeoutMillis
			for _, topic := range t.Topics {
				for _, p := range topic.Partitions {
					line.Partitions = append(line.Partitions, spot{topic.Topic, p}.String())
				}
			}
		}
	}
}
