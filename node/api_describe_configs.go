// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// DescribeConfigs, versions 0 to 4, of topics, of consumer groups, of this broker and its logger, and of all brokers.
//
//	v1  source and synonyms
//	v3  types and documentation
//	v4  flexible
//
// What is named twice is an INVALID_REQUEST the second time: its answer is some hundred times as long as its name.
func (n *Node) handleDescribeConfigs(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	resp.Resources = make([]kmsg.DescribeConfigsResponseResource, 0, len(req.Resources)) // growing, it would be copied in one step
	named := make(map[resource]bool)
	n.each(r, len(req.Resources), func(i int) {
		in := &req.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		key := resource{in.ResourceType, in.ResourceName}
		var entries []configEntry
		var err error
		if named[key] {
			err = kafka.Errorf(kerr.InvalidRequest, "%.60q is named twice in the request", in.ResourceName)
		} else if err = r.configRight(acl.DescribeConfigs, in.ResourceType, in.ResourceName); err == nil {
			entries, err = n.configsOf(in)
		}
		named[key] = true
		if len(in.ConfigNames) > maxNamedConfigs {
			entries, in.ConfigNames, err = nil, nil, errTooManyConfigs
		}
		n.out.Work.Parts += len(in.ConfigNames)/4 + len(entries)
		if err != nil {
			out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
		}
		wanted := make(map[string]bool, len(in.ConfigNames))
		for _, name := range in.ConfigNames {
			wanted[name] = true
		}
		for _, e := range entries {
			if in.ConfigNames == nil || wanted[e.name] {
				out.Configs = append(out.Configs, describeConfig(req, in, e))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}, func() { r.reply(resp) })
}

func (n *Node) configsOf(in *kmsg.DescribeConfigsRequestResource) ([]configEntry, error) {
	switch in.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := checkTopicName(in.ResourceName); err != nil {
			return nil, err
		}
		t := n.catalog.byName[in.ResourceName]
		if t == nil {
			return nil, kafka.Errorf(kerr.UnknownTopicOrPartition, "topic %.60q does not exist", in.ResourceName)
		}
		configs := t.Configs
		if t.Internal {
			configs = []configValue{{cleanupPolicyConfig, cleanupCompact}}
		}
		return n.topicConfigValues(configs, len(t.Partitions[0].Replicas)), nil
	case kmsg.ConfigResourceTypeBroker:
		if in.ResourceName == "" {
			return n.allBrokersConfigValues(), nil
		}
		if err := n.checkBrokerName(in.ResourceName); err != nil {
			return nil, err
		}
		return n.brokerConfigValues(), nil
	case kmsg.ConfigResourceTypeBrokerLogger:
		if err := n.checkBrokerName(in.ResourceName); err != nil {
			return nil, err
		}
		return n.loggerConfigValues(), nil
	case configGroup:
		if in.ResourceName == "" {
			return nil, kafka.Errorf(kerr.InvalidRequest, "name a group; there are no configurations of all groups")
		}
		return n.groupConfigValues(in.ResourceName), nil
	}
	return nil, kafka.Errorf(kerr.InvalidRequest, "configurations of type %v are not served", in.ResourceType)
}

func (n *Node) checkBrokerName(name string) error {
	if name != strconv.Itoa(int(n.self)) {
		return kafka.Errorf(kerr.InvalidRequest, "this is broker %d; ask broker %.60q itself", n.self, name)
	}
	return nil
}

func describeConfig(req *kmsg.DescribeConfigsRequest, in *kmsg.DescribeConfigsRequestResource, e configEntry) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	first := e.synonyms[0]
	out.Name, out.Value, out.Source, out.ConfigType = e.name, &first.value, first.source, e.typ
	out.ReadOnly = e.check == nil
	out.IsDefault = first.source == kmsg.ConfigSourceDefaultConfig
	if req.IncludeDocumentation {
		out.Documentation = &e.doc
	}
	if req.IncludeSynonyms && first.source != kmsg.ConfigSourceDynamicBrokerLoggerConfig {
		for _, from := range e.synonyms {
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Value, s.Source = from.name, &from.value, from.source
			out.ConfigSynonyms = append(out.ConfigSynonyms, s)
		}
	}
	return out
}
