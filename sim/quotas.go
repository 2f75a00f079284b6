// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/node/quota"
	"chronik/sim/plan"
)

// Hasty clients (hasty.go) ask for more than their quotas allow. The judge sees each of their requests arrive and each answer leave
// its broker, and checker.Quotas says for how long they must be told to wait. For so long nothing more may be served of their
// connections, and afterwards they must be served as usual. Nobody else may be told to wait.

// commandOfQuotas is what of a command is about quotas.
type commandOfQuotas struct {
	ChangeQuotas *struct{ Changes []checker.QuotaChange }
}

// quotasChanged takes a change of quotas that a first broker has applied, and says whether it is one.
func (s *security) quotasChanged(index uint64, data []byte) bool {
	var cmd commandOfQuotas
	if err := json.Unmarshal(data, &cmd); err != nil {
		panic(err)
	}
	if cmd.ChangeQuotas == nil {
		return false
	}
	s.quotas.ChangedBy(index, cmd.ChangeQuotas.Changes)
	return true
}

// quotaOrder is a change of a quota.
func quotaOrder(spec *plan.Order) *order {
	q := spec.Quota
	change := quota.Change{Entity: quota.Entity{User: quota.Name(q.User), Client: quota.Name(q.Client)}}
	what := fmt.Sprintf("change the quotas of %v, %s %v", change.Entity, q.Key, q.Value)
	if q.Value == 0 {
		what = fmt.Sprintf("change the quotas of %v, no %s", change.Entity, q.Key)
	}
	return &order{spec: spec, what: []string{what}, request: func() kmsg.Request {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		req.Version = int16(spec.ID % 2)
		e, op := kmsg.NewAlterClientQuotasRequestEntry(), kmsg.NewAlterClientQuotasRequestEntryOp()
		for _, p := range change.Parts() {
			part := kmsg.NewAlterClientQuotasRequestEntryEntity()
			part.Type, part.Name = p.Type, p.Name
			e.Entity = append(e.Entity, part)
		}
		op.Key, op.Value, op.Remove = q.Key, q.Value, q.Value == 0
		e.Ops = append(e.Ops, op)
		req.Entries = append(req.Entries, e)
		return req
	}}
}

// ms is the unit of waits.
func ms(t node.Time) int64 { return int64(t) / int64(millisecond) }

// asksHastily notes a request of a hasty client that has reached its broker.
func (d *decided) asksHastily(cn *conn, frame []byte) {
	if l := cn.login; cn.client == nil || cn.client.hasty == nil || l == nil || l.user == "" {
		return
	}
	h, body, err := kafka.ParseHeader(frame)
	if err == nil {
		d.asked, err = kafka.ParseBody(h, body)
	}
	if err != nil {
		panic(err)
	}
	d.bytes, d.cost = len(frame), cn.broker.cost
	w := cn.client.world
	w.secure.begun = append(w.secure.begun, begunAsk{cn, d.asked, cn.broker.incarnation, d.bytes, d.cost, w.now})
}

// answersHastily judges what a broker tells a hasty client, and when.
func (w *world) answersHastily(cn *conn, d *decided, frame []byte) {
	if d.asked == nil {
		return
	}
	s := w.secure
	s.begun = slices.DeleteFunc(s.begun, func(o begunAsk) bool { return o.conn == cn && o.asked == d.asked })
	resp := d.asked.ResponseKind()
	resp.SetVersion(d.asked.GetVersion())
	if _, err := kafka.ParseResponse(frame, resp); err != nil {
		w.fail("protocol", "broker %d: %v", cn.broker.number, err)
	}
	told, b := toldToWait(resp), cn.broker
	switch d.asked.Key() {
	case int16(kmsg.ApiVersions), int16(kmsg.SASLHandshake), int16(kmsg.SASLAuthenticate):
	default:
		h := cn.client.hasty.spec
		u := &checker.QuotaUse{
			RightsSpan: d.RightsSpan, What: fmt.Sprintf("%s of client %d, as %s with the id %s at broker %d,", kmsg.NameForKey(d.asked.Key()), cn.client.spec.ID, h.User, h.Client, b.number),
			Broker: b.number, Process: b.incarnation, User: h.User, Client: h.Client, Began: ms(d.clock), Ended: ms(d.ended), Told: told,
			Did: []checker.QuotaAmount{{Key: checker.QuotaTime, Least: leastCost, Most: b.cost - d.cost}},
		}
		did(u, d, resp, len(frame))
		u.Beside = w.underWay(cn)
		w.violated(s.quotas.Check(u))
	}
	if d.clock >= cn.mutedAt && d.ended < cn.mutedLeast {
		w.fail("let-through", "broker %d answers %s to client %d %v too early: it was told to ask for nothing", b.number, kmsg.NameForKey(d.asked.Key()), cn.client.spec.ID, plan.Duration(cn.mutedLeast-d.ended))
	}
	if told > 0 {
		wait := node.Time(told) * node.Time(millisecond)
		cn.mutedAt, cn.mutedLeast = d.ended, max(cn.mutedLeast, d.clock+wait)
		cn.mutedTill = max(cn.mutedTill, b.virtual(d.ended+wait)+1)
	}
}

// begunAsk is a request of a hasty client that has reached its broker, which may have measured it. It isn't answered, or its connection
// ended before.
type begunAsk struct {
	conn    *conn
	asked   kmsg.Request
	process uint64
	bytes   int
	cost    int64
	at      node.Time
}

// longestAsk is how long a request may be under way that nobody waits for any more.
const longestAsk = 60 * node.Time(second)

// underWay are the other requests that a broker has begun with, or may have.
func (w *world) underWay(cn *conn) (all []checker.QuotaUse) {
	b, s := cn.broker, w.secure
	s.begun = slices.DeleteFunc(s.begun, func(o begunAsk) bool { return w.now-o.at > longestAsk })
	for _, o := range s.begun {
		if o.conn.broker != b || o.process != b.incarnation {
			continue
		}
		spec := o.conn.client.hasty.spec
		u := checker.QuotaUse{User: spec.User, Client: spec.Client, Did: []checker.QuotaAmount{{Key: checker.QuotaTime, Most: b.cost - o.cost}}}
		switch req := o.asked.(type) {
		case *kmsg.ProduceRequest:
			u.Did = append(u.Did, checker.QuotaAmount{Key: checker.QuotaProduce, Most: int64(o.bytes)})
		case *kmsg.FetchRequest:
			u.Did = append(u.Did, checker.QuotaAmount{Key: checker.QuotaFetch, Most: 2 * plan.MaxBatchBytes})
		case *kmsg.CreateTopicsRequest:
			u.Did = append(u.Did, checker.QuotaAmount{Key: checker.QuotaMutations, Most: int64(req.Topics[0].NumPartitions)})
		}
		all = append(all, u)
	}
	return all
}

// leastCost is what any request costs.
const leastCost = 10

// did says what a request did of what quotas limit.
func did(u *checker.QuotaUse, d *decided, resp kmsg.Response, bytes int) {
	a := checker.QuotaAmount{}
	switch r := resp.(type) {
	case *kmsg.ProduceResponse:
		a.Key, a.Least, a.Most = checker.QuotaProduce, int64(d.bytes), int64(d.bytes)
	case *kmsg.FetchResponse:
		a.Key = checker.QuotaFetch
		partitions := 0
		for i := range r.Topics {
			partitions += len(r.Topics[i].Partitions)
			for j := range r.Topics[i].Partitions {
				a.Least += int64(len(r.Topics[i].Partitions[j].RecordBatches))
			}
		}
		a.Most = int64(bytes + 64*partitions)
		if u.Told > 0 && a.Least == 0 {
			a.Most, a.Tried = 0, 2*plan.MaxBatchBytes
		}
	case *kmsg.CreateTopicsResponse:
		in := d.asked.(*kmsg.CreateTopicsRequest)
		a.Key, u.Lenient = checker.QuotaMutations, r.Version < 6
		switch r.Topics[0].ErrorCode {
		case 0:
			a.Least = int64(in.Topics[0].NumPartitions)
			a.Most = a.Least
		case kerr.ThrottlingQuotaExceeded.Code:
			u.Refused = true
		}
	default:
		return
	}
	u.Did = append(u.Did, a)
}
