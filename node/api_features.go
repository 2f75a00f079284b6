// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// transactionVersion is the feature by which clients know that each end of a transaction gives them the next epoch, and that
// partitions are added by producing to them (KIP-890). It is always there.
const (
	transactionVersion      = "transaction.version"
	transactionVersionLevel = 2
)

// levelFeature is the cluster's feature level, as clients know it (level.go).
const levelFeature = "chronik.version"

// addFeatures says in an answer to ApiVersions which features there are (KIP-584). Clients before version 4 of it take a lowest level of 0 for a
// mistake, so they aren't told which levels of such a feature there could be; Kafka does the same.
func (n *Node) addFeatures(resp *kmsg.ApiVersionsResponse, version int16) {
	if version < 3 {
		return
	}
	supported := func(name string, oldest, newest int16) {
		s := kmsg.NewApiVersionsResponseSupportedFeature()
		s.Name, s.MinVersion, s.MaxVersion = name, oldest, newest
		resp.SupportedFeatures = append(resp.SupportedFeatures, s)
	}
	finalized := func(name string, level int16) {
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MinVersionLevel, f.MaxVersionLevel = name, level, level
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
	}
	supported(levelFeature, n.cfg.Levels.Oldest, n.cfg.Levels.Newest)
	finalized(levelFeature, n.Level())
	if version >= 4 {
		supported(transactionVersion, 0, transactionVersionLevel)
	}
	finalized(transactionVersion, transactionVersionLevel)
	resp.FinalizedFeaturesEpoch = int64(n.Level() - firstLevel) // it grows with each change
}

// UpdateFeatures, versions 0 to 2, on any broker: raises the cluster's feature level. v1 only tries on request, v2 does all or nothing, and
// answers for all features together.
func (n *Node) handleUpdateFeatures(r *request, m kmsg.Request) {
	req := m.(*kmsg.UpdateFeaturesRequest)
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	resp.Results = make([]kmsg.UpdateFeaturesResponseResult, len(req.FeatureUpdates))
	raise, failed := -1, false
	set := func(i int, err error) {
		out := &resp.Results[i]
		if out.ErrorCode = code(err); err == nil {
			return
		}
		failed, out.ErrorMessage = true, errorText(err)
		if req.Version >= 2 && resp.ErrorCode == 0 {
			resp.ErrorCode, resp.ErrorMessage = out.ErrorCode, out.ErrorMessage
		}
	}
	n.each(r, len(req.FeatureUpdates), func(i int) {
		f := &req.FeatureUpdates[i]
		resp.Results[i] = kmsg.NewUpdateFeaturesResponseResult()
		resp.Results[i].Feature = f.Feature
		err := n.checkFeature(f)
		if err == nil && f.Feature == levelFeature && f.MaxVersionLevel != n.Level() {
			raise = i
		}
		set(i, err)
	}, func() {
		if raise < 0 || req.ValidateOnly || req.Version >= 2 && failed {
			r.reply(resp)
			return
		}
		n.commands.submitFor(r, command{SetLevel: &setLevel{req.FeatureUpdates[raise].MaxVersionLevel}}, func(res commandResult) {
			set(raise, res.err)
			r.reply(resp)
		})
		r.expireAfter(time.Duration(req.TimeoutMillis)*time.Millisecond, func() {
			set(raise, errOutcomeUnknown)
			r.reply(resp)
		})
	})
}

func (n *Node) checkFeature(f *kmsg.UpdateFeaturesRequestFeatureUpdate) error {
	switch {
	case f.Feature == levelFeature && f.MaxVersionLevel < firstLevel:
		return kafka.Errorf(kerr.InvalidUpdateVersion, "%s can't be taken away", levelFeature)
	case f.Feature == levelFeature:
		return n.catalog.raisable(f.MaxVersionLevel)
	case f.Feature != transactionVersion:
		return kafka.Errorf(kerr.InvalidUpdateVersion, "there is no feature %.60q here; there are %s and %s", f.Feature, levelFeature, transactionVersion)
	case f.MaxVersionLevel != transactionVersionLevel:
		return kafka.Errorf(kerr.InvalidUpdateVersion, "%s is %d and can't change; clients of the older protocol are served at that level, too", transactionVersion, transactionVersionLevel)
	}
	return nil
}
