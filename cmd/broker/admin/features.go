// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// levelFeature is the cluster's feature level (ADR 24).
const levelFeature = "chronik.version"

// supports is which feature levels a broker supports, and at which it sees the cluster.
type supports struct {
	broker                int32
	oldest, newest, level int16
}

// supported asks each broker.
func (a *admin) supported(ctx context.Context) ([]supports, error) {
	c, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	var all []supports
	for _, id := range c.live() {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 4, "broker-admin", "1"
		resp, err := askOther[*kmsg.ApiVersionsResponse](ctx, a, []int32{id}, req)
		if err != nil {
			return nil, fmt.Errorf("broker %d: %w", id, err)
		}
		s := supports{broker: id, oldest: 1, newest: 1, level: 1} // releases that don't say know the first
		for _, f := range resp.SupportedFeatures {
			if f.Name == levelFeature {
				s.oldest, s.newest = f.MinVersion, f.MaxVersion
			}
		}
		for _, f := range resp.FinalizedFeatures {
			if f.Name == levelFeature {
				s.level = f.MaxVersionLevel
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// features shows the feature level, and up to which one it can be raised.
func (a *admin) features(ctx context.Context) error {
	all, err := a.supported(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		a.say("broker %d supports levels %d to %d, and sees the cluster at level %d", s.broker, s.oldest, s.newest, s.level)
	}
	if level, newest := levelOf(all); newest > level {
		a.say("the cluster is at level %d and can be raised: broker admin raise %d. There is no way back from it", level, newest)
	} else {
		a.say("the cluster is at level %d, the newest that all these brokers support", level)
	}
	return nil
}

// levelOf is the level of the cluster, and the newest that all brokers support.
func levelOf(all []supports) (level, newest int16) {
	for i, s := range all {
		level = max(level, s.level)
		if newest = min(newest, s.newest); i == 0 {
			newest = s.newest
		}
	}
	return level, newest
}

// raise raises the feature level; that is the newest one if none is given.
func (a *admin) raise(ctx context.Context, to []int32) error {
	all, err := a.supported(ctx)
	if err != nil {
		return err
	}
	now, level := levelOf(all)
	if len(to) > 0 {
		level = int16(min(to[0], 1<<15-1))
	}
	if level == now {
		a.say("the cluster is at level %d already", now)
		return nil
	}
	req := kmsg.NewPtrUpdateFeaturesRequest()
	f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	f.Feature, f.MaxVersionLevel, f.UpgradeType = levelFeature, level, 1
	req.FeatureUpdates = append(req.FeatureUpdates, f)
	resp, err := ask[*kmsg.UpdateFeaturesResponse](ctx, a, req)
	if err != nil {
		return err
	}
	if err := refusal(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return err
	}
	for _, r := range resp.Results {
		if err := refusal(r.ErrorCode, r.ErrorMessage); err != nil {
			return err
		}
	}
	a.say("the cluster is at level %d", level)
	return nil
}
