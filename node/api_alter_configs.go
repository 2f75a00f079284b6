// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// AlterConfigs (versions 0 to 2) and IncrementalAlterConfigs (0 to 1, KIP-339), on any broker. Only
// topics can be changed: a broker's configurations are its operator's, who sets them where the broker
// runs.
//
// The broker that was asked works out what the topic's configuration becomes. The command carries
// that, and says which configuration it was worked out from: if another change came between, it is
// refused and worked out again. So changes through different brokers add up.

func unknownTopic(name string) error {
	return kafka.Errorf(kerr.UnknownTopicOrPartition, "topic %.60q does not exist", name)
}

// adminTimeout is how long requests that change the catalog and have no time-out of their own wait.
const adminTimeout = 10 * time.Second

// configChange works out what a configuration becomes.
type configChange func(own []configValue) ([]configValue, error)

// resource is what has configurations.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

func (n *Node) handleAlterConfigs(r *request, m kmsg.Request) {
	req := m.(*kmsg.AlterConfigsRequest)
	named := make(map[resource]int)
	n.each(r, len(req.Resources), func(i int) {
		named[resource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}]++
	}, func() { n.alterConfigs(r, req, named) })
}

func (n *Node) alterConfigs(r *request, req *kmsg.AlterConfigsRequest, named map[resource]int) {
	resp := kmsg.NewPtrAlterConfigsResponse()
	resp.Resources = make([]kmsg.AlterConfigsResponseResource, len(req.Resources))
	w := waitFor(r, resp, len(req.Resources))
	n.each(r, len(req.Resources), func(i int) {
		in, out := &req.Resources[i], &resp.Resources[i]
		*out = kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		twice := named[resource{in.ResourceType, in.ResourceName}] > 1
		a := &alteration{node: n, wait: w, code: &out.ErrorCode, text: &out.ErrorMessage, validate: req.ValidateOnly, change: replaceConfigs(in.Configs)}
		a.begin(in.ResourceType, in.ResourceName, len(in.Configs), len(in.Configs), twice)
	}, func() { w.begin(int32(adminTimeout.Milliseconds())) })
}

func (n *Node) handleIncrementalAlterConfigs(r *request, m kmsg.Request) {
	req := m.(*kmsg.IncrementalAlterConfigsRequest)
	named := make(map[resource]int)
	n.each(r, len(req.Resources), func(i int) {
		named[resource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}]++
	}, func() { n.editConfigs(r, req, named) })
}

func (n *Node) editConfigs(r *request, req *kmsg.IncrementalAlterConfigsRequest, named map[resource]int) {
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	resp.Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, len(req.Resources))
	w := waitFor(r, resp, len(req.Resources))
	n.each(r, len(req.Resources), func(i int) {
		in, out := &req.Resources[i], &resp.Resources[i]
		*out = kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		twice := named[resource{in.ResourceType, in.ResourceName}] > 1
		a := &alteration{node: n, wait: w, code: &out.ErrorCode, text: &out.ErrorMessage, validate: req.ValidateOnly, change: editConfigs(in.Configs)}
		a.begin(in.ResourceType, in.ResourceName, len(in.Configs), settings(in.Configs), twice)
	}, func() { w.begin(int32(adminTimeout.Milliseconds())) })
}

// settings counts the edits that would set something. kafka-reassign-partitions --verify deletes the
// brokers' throttles whether or not there are any.
func settings(in []kmsg.IncrementalAlterConfigsRequestResourceConfig) (count int) {
	for i := range in {
		if in[i].Op != kmsg.IncrementalAlterConfigOpDelete {
			count++
		}
	}
	return count
}

// replaceConfigs is AlterConfigs: what isn't named gets its default back.
func replaceConfigs(in []kmsg.AlterConfigsRequestResourceConfig) configChange {
	return func([]configValue) ([]configValue, error) {
		var out []configValue
		for i := range in {
			if in[i].Value == nil {
				return nil, kafka.Errorf(kerr.InvalidRequest, "configuration %.60q has no value; leave it out to get its default", in[i].Name)
			}
			out = append(out, configValue{in[i].Name, *in[i].Value})
		}
		return sortConfigs(out)
	}
}

// editConfigs is IncrementalAlterConfigs: what isn't named stays.
func editConfigs(in []kmsg.IncrementalAlterConfigsRequestResourceConfig) configChange {
	return func(own []configValue) ([]configValue, error) {
		out := slices.Clone(own)
		named := make(map[string]bool, len(in))
		for i := range in {
			e := &in[i]
			if named[e.Name] {
				return nil, kafka.Errorf(kerr.InvalidRequest, "configuration %.60q is named twice", e.Name)
			}
			named[e.Name] = true
			value, keep, err := editConfig(own, e)
			if err != nil {
				return nil, err
			}
			out = slices.DeleteFunc(out, func(v configValue) bool { return v.Name == e.Name })
			if keep {
				out = append(out, configValue{e.Name, value})
			}
		}
		return sortConfigs(out)
	}
}

// editConfig returns the new value of one configuration; keep is false if it gets its default back.
func editConfig(own []configValue, e *kmsg.IncrementalAlterConfigsRequestResourceConfig) (value string, keep bool, err error) {
	d := topicConfigDef(e.Name)
	switch {
	case e.Op == kmsg.IncrementalAlterConfigOpDelete: // what is unknown isn't there either
		return "", false, nil
	case d == nil:
		return "", false, unknownConfig(e.Name)
	case e.Value == nil:
		return "", false, kafka.Errorf(kerr.InvalidRequest, "configuration %s has no value; delete it to get its default", e.Name)
	case e.Op == kmsg.IncrementalAlterConfigOpSet:
		return *e.Value, true, nil
	case e.Op != kmsg.IncrementalAlterConfigOpAppend && e.Op != kmsg.IncrementalAlterConfigOpSubtract:
		return "", false, kafka.Errorf(kerr.InvalidRequest, "operation %d on configuration %s is unknown", e.Op, e.Name)
	case d.typ != kmsg.ConfigTypeList:
		return "", false, kafka.Errorf(kerr.InvalidConfig, "%s is not a list; it can be set or deleted", e.Name)
	}
	was, ok := (&topicMeta{Configs: own}).config(e.Name)
	if !ok {
		was = d.value(nil, 0) // lists have constant defaults
	}
	return editList(was, e), true, nil
}

// editList adds to a list, or takes from it.
func editList(was string, e *kmsg.IncrementalAlterConfigsRequestResourceConfig) string {
	var list []string
	there := make(map[string]bool)
	for _, v := range strings.Split(was, ",") {
		if v != "" {
			list, there[v] = append(list, v), true
		}
	}
	for _, v := range strings.Split(*e.Value, ",") {
		v = strings.TrimSpace(v)
		if e.Op != kmsg.IncrementalAlterConfigOpSubtract && !there[v] {
			list = append(list, v)
		}
		there[v] = e.Op != kmsg.IncrementalAlterConfigOpSubtract
	}
	return strings.Join(slices.DeleteFunc(list, func(v string) bool { return !there[v] }), ",")
}

// alteration is the change of one resource on its way.
type alteration struct {
	node     *Node
	wait     *wait
	code     *int16
	text     **string
	validate bool // only say whether it could be done
	topic    string
	change   configChange
}

// maxNamedConfigs bounds the configurations that a request names of one resource. There are some forty.
const maxNamedConfigs = 1000

var errTooManyConfigs = kafka.Errorf(kerr.InvalidRequest, "more than %d configurations of one resource are named", maxNamedConfigs)

func (a *alteration) begin(kind kmsg.ConfigResourceType, name string, named, changes int, twice bool) {
	a.node.out.Work.Names += min(named, maxNamedConfigs) / 2
	switch {
	case named > maxNamedConfigs:
		a.finish(errTooManyConfigs)
	case twice:
		a.finish(kafka.Errorf(kerr.InvalidRequest, "resource %.60q is named twice in the request", name))
	case kind == kmsg.ConfigResourceTypeBroker:
		a.finish(a.node.checkBrokerChange(name, changes))
	case kind == kmsg.ConfigResourceTypeTopic && name == "":
		a.finish(kafka.Errorf(kerr.InvalidRequest, "name a topic; there are no configurations of all topics"))
	case kind == kmsg.ConfigResourceTypeTopic && checkTopicName(name) != nil:
		a.finish(checkTopicName(name))
	case kind != kmsg.ConfigResourceTypeTopic:
		a.finish(kafka.Errorf(kerr.InvalidRequest, "configurations of type %v can't be changed here", kind))
	default:
		a.topic = name
		a.try()
	}
}

// checkBrokerChange takes what changes nothing.
func (n *Node) checkBrokerChange(name string, changes int) error {
	if name != "" {
		if err := n.checkBrokerName(name); err != nil {
			return err
		}
	}
	if changes > 0 {
		return kafka.Errorf(kerr.InvalidConfig, "brokers take their configuration from their own settings; change those, then restart the broker")
	}
	return nil
}

// try sends the change, until it is applied to what it was worked out from.
func (a *alteration) try() {
	a.node.commands.submitPlan(a.wait.request, a.plan, func(res commandResult) {
		if res.err == errOutdated {
			a.try()
		} else {
			a.finish(res.err)
		}
	})
}

// plan works the change out from what this broker knows. A topic that isn't known here
// may exist all the same: the command decides, and by then it is known.
func (a *alteration) plan() (command, bool) {
	cmd := &alterConfigs{Topic: a.topic}
	t := a.node.catalog.byName[a.topic]
	if t != nil {
		configs, err := a.worked(t)
		if err != nil || a.validate {
			a.finish(err)
			return command{}, false
		}
		cmd.ID, cmd.Changes, cmd.Configs = t.id(), t.ConfigChanges, configs
	} else if a.validate {
		a.finish(unknownTopic(a.topic))
		return command{}, false
	}
	*a.code = kerr.RequestTimedOut.Code // until it is applied
	return command{AlterConfigs: cmd}, true
}

func (a *alteration) worked(t *topicMeta) ([]configValue, error) {
	if t.Internal {
		return nil, kafka.Errorf(kerr.TopicAuthorizationFailed, "%s is the brokers' own", t.Name)
	}
	configs, err := a.change(t.Configs)
	if err != nil {
		return nil, err
	}
	return configs, checkTopicConfigs(configs, len(t.Partitions[0].Replicas))
}

func (a *alteration) finish(err error) {
	if *a.code = code(err); err != nil {
		*a.text = errorText(err)
	}
	a.wait.done()
}
