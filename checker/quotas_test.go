// SPDX-License-Identifier: Apache-2.0

package checker

import "testing"

// quotasHistory is one of four changes, at entries 10, 20, 30 and 40.
func quotasHistory() *Quotas {
	q := NewQuotas()
	q.Changed(10, QuotaEntity{User: "=ann"}, QuotaProduce, 1000)
	q.Changed(20, QuotaEntity{User: "*"}, QuotaProduce, 1e9)
	q.Changed(20, QuotaEntity{User: "=ann", Client: "=app"}, QuotaProduce, 100)
	q.Changed(30, QuotaEntity{User: "=ann", Client: "=app"}, QuotaProduce, 0)
	q.Changed(40, QuotaEntity{User: "=bob"}, QuotaMutations, 2)
	return q
}

// TestQuotaLimits looks at which quota counts, and with whom it is shared.
func TestQuotaLimits(t *testing.T) {
	q := quotasHistory()
	for _, c := range []struct {
		entry                         uint64
		user, client                  string
		limit                         float64
		sharedByUser, sharedByClients string
	}{
		{9, "ann", "app", 0, "", ""},
		{10, "ann", "app", 1000, "ann", ""},
		{19, "bob", "app", 0, "", ""},
		{20, "ann", "app", 100, "ann", "app"},
		{20, "ann", "other", 1000, "ann", ""},
		{20, "bob", "app", 1e9, "bob", ""},
		{30, "ann", "app", 1000, "ann", ""},
	} {
		s := q.during(&RightsSpan{From: c.entry, To: c.entry})
		limit, m := s[0].limit(QuotaProduce, c.user, c.client)
		if len(s) != 1 || limit != c.limit || m.user != c.sharedByUser || m.client != c.sharedByClients {
			t.Errorf("%+v: %v, shared by %q and %q", c, limit, m.user, m.client)
		}
	}
}

// produced is what ann tells of 1000 bytes.
func produced(from, to uint64, at, told, bytes int64) *QuotaUse {
	return &QuotaUse{
		RightsSpan: RightsSpan{From: from, To: to}, What: "Produce", Broker: 1, User: "ann", Client: "app", Began: at - 5, Ended: at, Told: told,
		Did: []QuotaAmount{{Key: QuotaProduce, Least: bytes, Most: bytes}},
	}
}

// TestRateOfQuota: who does in a moment what takes twenty seconds has to wait for about ten of them.
func TestRateOfQuota(t *testing.T) {
	for _, c := range []struct {
		at, told int64
		from, to uint64
		must     uint64
		want     string
	}{
		{1000, 10_000, 10, 10, 0, ""},
		{1000, 9_000, 10, 10, 0, ""},
		{1000, 10_100, 10, 10, 0, "throttled-wrongly"},
		{1000, 7_000, 10, 10, 0, "let-through"},
		{1000, 0, 10, 10, 0, "let-through"},
		{1000, 0, 9, 9, 0, ""},       // it had no quota yet
		{1000, 0, 9, 10, 0, ""},      // or may not have had one
		{1000, 10_000, 9, 10, 0, ""}, // or had it
		{1000, 10_000, 9, 9, 0, "throttled-wrongly"},
		{1000, 0, 9, 9, 10, "let-through"}, // it had to know
		{1000, 10_000, 30, 39, 0, ""},
		{14_000, 0, 10, 10, 0, ""}, // what was done before is forgotten
		{14_000, 1000, 10, 10, 0, "throttled-wrongly"},
	} {
		q := quotasHistory()
		for i := range int64(19) {
			q.Check(produced(c.from, c.to, 900+5*i, 1<<30, 1000))
		}
		u := produced(c.from, c.to, c.at, c.told, 1000)
		u.Must = c.must
		if c.must > 0 { // so did they
			q = quotasHistory()
			u.Did[0].Least, u.Did[0].Most = 20_000, 20_000
		}
		if got := name(q.Check(u)); got != c.want {
			t.Errorf("%+v: found %q", c, got)
		}
	}
}

// TestSharesOfQuota: another broker, and another user, has a measure of its own; another client id hasn't.
func TestSharesOfQuota(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*QuotaUse)
		want   string
	}{
		{"the same client", func(*QuotaUse) {}, "let-through"},
		{"another id", func(u *QuotaUse) { u.Client = "other" }, "let-through"},
		{"another user", func(u *QuotaUse) { u.User = "bob" }, ""},
		{"another broker", func(u *QuotaUse) { u.Broker = 2 }, ""},
		{"after a restart", func(u *QuotaUse) { u.Process = 2 }, ""},
	} {
		q := quotasHistory()
		q.Check(produced(10, 10, 900, 1<<30, 20_000))
		u := produced(10, 10, 1000, 0, 1)
		c.change(u)
		if got := name(q.Check(u)); got != c.want {
			t.Errorf("%s: found %q, want %q", c.what, got, c.want)
		}
	}
}

// TestBucketOfQuota: of two partitions a second 22 may be made at once, and one who was below that may make many.
func TestBucketOfQuota(t *testing.T) {
	made := func(at, told, partitions int64, refused bool) *QuotaUse {
		return &QuotaUse{
			RightsSpan: RightsSpan{From: 40, To: 40}, What: "CreateTopics", Broker: 1, User: "bob", Client: "app", Began: at, Ended: at, Told: told, Refused: refused,
			Did: []QuotaAmount{{Key: QuotaMutations, Least: partitions, Most: partitions}},
		}
	}
	for _, c := range []struct {
		what string
		last *QuotaUse
		want string
	}{
		{"one more", made(2000, 0, 1, false), "let-through"},
		{"refused", made(2000, 3000, 0, true), ""},
		{"refused for too long", made(2000, 3100, 0, true), "throttled-wrongly"},
		{"refused for too short", made(2000, 2000, 0, true), "let-through"},
		{"in time", made(5100, 0, 1, false), ""},
		{"refused after that", made(5100, 10, 0, true), "throttled-wrongly"},
	} {
		q := quotasHistory()
		for _, u := range []*QuotaUse{made(1000, 0, 20, false), made(1000, 0, 10, false)} {
			if v := q.Check(u); v != nil {
				t.Fatal(v)
			}
		}
		if got := name(q.Check(c.last)); got != c.want {
			t.Errorf("%s: found %q, want %q", c.what, got, c.want)
		}
	}
}
