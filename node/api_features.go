// SPDX-License-Identifier: Apache-2.0

package node

import (
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

// addFeatures says in an answer to ApiVersions which features there are (KIP-584). Clients before version 4 of it take a lowest level of 0 for a
// mistake, so they aren't told which levels there could be; Kafka does the same.
func addFeatures(resp *kmsg.ApiVersionsResponse, version int16) {
	if version < 3 {
		return
	}
	if version >= 4 {
		s := kmsg.NewApiVersionsResponseSupportedFeature()
		s.Name, s.MinVersion, s.MaxVersion = transactionVersion, 0, transactionVersionLevel
		resp.SupportedFeatures = append(resp.SupportedFeatures, s)
	}
	f := kmsg.NewApiVersionsResponseFinalizedFeature()
	f.Name, f.MinVersionLevel, f.MaxVersionLevel = transactionVersion, transactionVersionLevel, transactionVersionLevel
	resp.FinalizedFeatures, resp.FinalizedFeaturesEpoch = append(resp.FinalizedFeatures, f), 0
}

// UpdateFeatures, versions 0 to 2, on any broker: no level can change. v1 only tries on request, v2 answers for all features together.
func (n *Node) handleUpdateFeatures(r *request, m kmsg.Request) {
	req := m.(*kmsg.UpdateFeaturesRequest)
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	resp.Results = make([]kmsg.UpdateFeaturesResponseResult, 0, len(req.FeatureUpdates))
	n.each(r, len(req.FeatureUpdates), func(i int) {
		out := kmsg.NewUpdateFeaturesResponseResult()
		out.Feature = req.FeatureUpdates[i].Feature
		if err := checkFeature(&req.FeatureUpdates[i]); err != nil {
			out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
			if req.Version >= 2 && resp.ErrorCode == 0 {
				resp.ErrorCode, resp.ErrorMessage = out.ErrorCode, out.ErrorMessage
			}
		}
		resp.Results = append(resp.Results, out)
	}, func() { r.reply(resp) })
}

func checkFeature(f *kmsg.UpdateFeaturesRequestFeatureUpdate) error {
	switch {
	case f.Feature != transactionVersion:
		return kafka.Errorf(kerr.InvalidUpdateVersion, "there is no feature %.60q here; the only one is %s", f.Feature, transactionVersion)
	case f.MaxVersionLevel != transactionVersionLevel:
		return kafka.Errorf(kerr.InvalidUpdateVersion, "%s is %d and can't change; clients of the older protocol are served at that level, too", transactionVersion, transactionVersionLevel)
	}
	return nil
}
