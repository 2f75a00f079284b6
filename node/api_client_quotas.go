// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/quota"
)

// DescribeClientQuotas and AlterClientQuotas, versions 0 and 1 (KIP-546), on any broker: how much users, client ids and
// addresses may do (quotas.go). v1 is flexible. The error texts are Kafka's.

func (n *Node) handleDescribeClientQuotas(r *request, m kmsg.Request) {
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	f, err := quotaFilter(m.(*kmsg.DescribeClientQuotasRequest))
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = code(err), errorText(err)
		r.reply(resp)
		return
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
	quotas, i := n.catalog.quotas.Quotas(), 0
	n.inPieces(r, func() bool {
		n.out.Work.Parts += 16
		for end := min(i+64, len(quotas)); i < end; i++ {
			if f.Matches(quotas[i].Entity) {
				resp.Entries = append(resp.Entries, describedQuota(quotas[i]))
			}
		}
		return i < len(quotas)
	}, func() { r.reply(resp) })
}

func describedQuota(q *quota.Quota) kmsg.DescribeClientQuotasResponseEntry {
	out := kmsg.NewDescribeClientQuotasResponseEntry()
	for _, p := range q.Parts() {
		e := kmsg.NewDescribeClientQuotasResponseEntryEntity()
		e.Type, e.Name = p.Type, p.Name
		out.Entity = append(out.Entity, e)
	}
	for _, v := range q.Values {
		e := kmsg.NewDescribeClientQuotasResponseEntryValue()
		e.Key, e.Value = v.Key, v.Value
		out.Values = append(out.Values, e)
	}
	return out
}

// quotaFilter is what a client asks about; as ClientQuotasImage.describe of Kafka.
func quotaFilter(req *kmsg.DescribeClientQuotasRequest) (*quota.Filter, error) {
	f := &quota.Filter{Strict: req.Strict}
	for i := range req.Components {
		c := &req.Components[i]
		switch {
		case c.EntityType == "":
			return nil, kafka.Errorf(kerr.InvalidRequest, "Invalid empty entity type.")
		case f.Has(c.EntityType):
			return nil, kafka.Errorf(kerr.InvalidRequest, "Entity type %s cannot appear more than once in the filter.", c.EntityType)
		case c.EntityType != quota.User && c.EntityType != quota.ClientID && c.EntityType != quota.IP:
			return nil, kafka.Errorf(kerr.UnsupportedVersion, "Unsupported entity type %.100s", c.EntityType)
		}
		p := quota.FilterPart{Type: c.EntityType}
		switch {
		case c.MatchType == kmsg.QuotasMatchTypeExact && c.Match == nil:
			return nil, kafka.Errorf(kerr.InvalidRequest, "Request specified MATCH_TYPE_EXACT, but set match string to null.")
		case c.MatchType == kmsg.QuotasMatchTypeDefault && c.Match != nil:
			return nil, kafka.Errorf(kerr.InvalidRequest, "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.")
		case c.MatchType == kmsg.QuotasMatchTypeAny && c.Match != nil:
			return nil, kafka.Errorf(kerr.InvalidRequest, "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.")
		case c.MatchType < kmsg.QuotasMatchTypeExact || c.MatchType > kmsg.QuotasMatchTypeAny:
			return nil, kafka.Errorf(kerr.InvalidRequest, "Unknown match type %d", c.MatchType)
		case c.MatchType != kmsg.QuotasMatchTypeAny:
			p.Name = quota.NameOf(c.Match)
		}
		f.Parts = append(f.Parts, p)
	}
	if f.Has(quota.IP) && (f.Has(quota.User) || f.Has(quota.ClientID)) {
		return nil, kafka.Errorf(kerr.InvalidRequest, "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.")
	}
	return f, nil
}

// alteredQuota is what a request changes of one entity. Of one that is named again, the first change is made and the answer is
// an error, as in Kafka.
type alteredQuota struct {
	parts  []kmsg.AlterClientQuotasResponseEntryEntity
	change quota.Change
	err    error // nil: it is made
	again  bool  // it is named again
}

func (n *Node) handleAlterClientQuotas(r *request, m kmsg.Request) {
	req, at := m.(*kmsg.AlterClientQuotasRequest), make(map[string]*alteredQuota)
	var all []*alteredQuota
	n.each(r, len(req.Entries), func(i int) {
		a, name := readAlteration(&req.Entries[i])
		if first := at[name]; first != nil {
			first.again = true
			return
		}
		at[name] = a
		all = append(all, a)
	}, func() { n.alterQuotas(r, all, req.ValidateOnly) })
}

// readAlteration reads and checks a change, and returns a name of its entity. Of a type that is named twice the last counts.
func readAlteration(in *kmsg.AlterClientQuotasRequestEntry) (*alteredQuota, string) {
	a, wrong := &alteredQuota{}, ""
	for _, p := range in.Entity {
		out := kmsg.AlterClientQuotasResponseEntryEntity{Type: p.Type, Name: p.Name}
		if i := slices.IndexFunc(a.parts, func(o kmsg.AlterClientQuotasResponseEntryEntity) bool { return o.Type == p.Type }); i >= 0 {
			a.parts[i] = out
		} else if a.parts = append(a.parts, out); len(a.parts) > maxEntityParts {
			a.parts, wrong = a.parts[:maxEntityParts], "an entity of too many parts"
			break
		}
		if why := a.change.Set(p.Type, p.Name); why != "" {
			wrong = why
		}
	}
	for _, op := range in.Ops[:min(len(in.Ops), quota.MaxOps+1)] {
		a.change.Ops = append(a.change.Ops, quota.Op{Value: quota.Value{Key: op.Key, Value: op.Value}, Remove: op.Remove})
	}
	wrong = cmp.Or(wrong, checkQuota(&a.change))
	a.change.Clean()
	if wrong != "" {
		a.err = kafka.Errorf(kerr.InvalidRequest, "%s", wrong)
	}
	names := make([]string, len(a.parts))
	for i, p := range a.parts {
		names[i] = p.Type + "\x00" + string(quota.NameOf(p.Name))
	}
	slices.Sort(names)
	return a, strings.Join(names, "\x00")
}

// maxEntityParts is more parts than an entity can have.
const maxEntityParts = 8

func (n *Node) alterQuotas(r *request, all []*alteredQuota, validate bool) {
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	resp.Entries = make([]kmsg.AlterClientQuotasResponseEntry, len(all))
	w, waiting := waitFor(r, resp, 0), []int(nil) // those of the next command
	send := func() {
		if len(waiting) > 0 {
			w.left++
			n.changeQuotas(w, all, resp, waiting)
			waiting = nil
		}
	}
	n.each(r, len(all), func(i int) {
		a, out := all[i], &resp.Entries[i]
		*out = kmsg.NewAlterClientQuotasResponseEntry()
		out.Entity = a.parts
		setResult(&out.ErrorCode, &out.ErrorMessage, a.result(nil))
		if a.err == nil && !validate {
			if waiting = append(waiting, i); len(waiting) == maxQuotasOnce {
				send()
			}
		}
	}, func() {
		send()
		w.begin(int32(adminTimeout.Milliseconds()))
	})
}

// result is what the client is told, if that became of the change.
func (a *alteredQuota) result(err error) error {
	switch {
	case a.err != nil:
		return a.err
	case err == nil && a.again:
		return kafka.Errorf(kerr.InvalidRequest, "Ignoring duplicate entity %v", a.change.Entity)
	}
	return err
}

// changeQuotas has some of the changes of a request made by one command.
func (n *Node) changeQuotas(w *wait, all []*alteredQuota, resp *kmsg.AlterClientQuotasResponse, which []int) {
	cmd := &changeQuotas{Changes: make([]quota.Change, len(which))}
	for k, i := range which {
		cmd.Changes[k] = all[i].change
		resp.Entries[i].ErrorCode = kerr.RequestTimedOut.Code // until it is applied
	}
	n.commands.submitFor(w.request, command{ChangeQuotas: cmd}, func(res commandResult) {
		for _, i := range which {
			out := &resp.Entries[i]
			out.ErrorMessage = nil
			setResult(&out.ErrorCode, &out.ErrorMessage, all[i].result(res.err))
		}
		w.done()
	})
}
