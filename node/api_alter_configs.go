// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// AlterConfigs (versions 0 to 2) and IncrementalAlterConfigs (0 to 1, KIP-339): of topics, consumer groups and all brokers on
// any broker, and of one broker or its logger on that one.
//
// The broker that was asked works out what the configuration becomes. The command carries
// that, and says which configuration it was worked out from: if another change came between, it is
// refused and worked out again. So changes through different brokers add up.

func unknownTopic(name string) error {
	return kafka.Errorf(kerr.UnknownTopicOrPartition, "topic %.60q does not exist", name)
}

// adminTimeout is how long requests that change the catalog and have no time-out of their own wait.
const adminTimeout = 10 * time.Second

// configKind is what the configurations of a kind of resource are.
type configKind struct {
	defs    []configDef
	unknown func(name string) error
	edited  bool // only: it can't be replaced as a whole
}

// configKindOf returns that of a type of resource; of another type, no configuration is known.
func configKindOf(t kmsg.ConfigResourceType) configKind {
	switch t {
	case kmsg.ConfigResourceTypeBroker:
		return configKind{defs: brokerConfigDefs, unknown: unknownBrokerConfig}
	case configGroup:
		return configKind{defs: groupConfigDefs, unknown: unknownGroupConfig}
	case kmsg.ConfigResourceTypeBrokerLogger:
		return configKind{loggerDefs, unknownLogger, true}
	}
	return configKind{defs: topicConfigDefs, unknown: unknownConfig}
}

// configChange works out what a configuration becomes.
type configChange func(kind configKind, own []configValue) ([]configValue, error)

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
		a.begin(in.ResourceType, in.ResourceName, len(in.Configs), twice)
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
		a.begin(in.ResourceType, in.ResourceName, len(in.Configs), twice)
	}, func() { w.begin(int32(adminTimeout.Milliseconds())) })
}

// replaceConfigs is AlterConfigs: what isn't named gets its default back.
func replaceConfigs(in []kmsg.AlterConfigsRequestResourceConfig) configChange {
	return func(kind configKind, _ []configValue) ([]configValue, error) {
		var out []configValue
		if kind.edited {
			return nil, kafka.Errorf(kerr.InvalidRequest, "the levels of loggers are changed by IncrementalAlterConfigs")
		}
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
	return func(kind configKind, own []configValue) ([]configValue, error) {
		out := slices.Clone(own)
		named := make(map[string]bool, len(in))
		for i := range in {
			e := &in[i]
			if named[e.Name] {
				return nil, kafka.Errorf(kerr.InvalidRequest, "configuration %.60q is named twice", e.Name)
			}
			named[e.Name] = true
			value, keep, err := kind.edit(own, e)
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

// edit returns the new value of one configuration; keep is false if it gets its default back.
func (k configKind) edit(own []configValue, e *kmsg.IncrementalAlterConfigsRequestResourceConfig) (value string, keep bool, err error) {
	d := findDef(k.defs, e.Name)
	switch {
	case e.Op == kmsg.IncrementalAlterConfigOpDelete: // what is unknown isn't there either
		return "", false, nil
	case d == nil:
		return "", false, k.unknown(e.Name)
	case e.Value == nil:
		return "", false, kafka.Errorf(kerr.InvalidRequest, "configuration %s has no value; delete it to get its default", e.Name)
	case e.Op == kmsg.IncrementalAlterConfigOpSet:
		return *e.Value, true, nil
	case e.Op != kmsg.IncrementalAlterConfigOpAppend && e.Op != kmsg.IncrementalAlterConfigOpSubtract:
		return "", false, kafka.Errorf(kerr.InvalidRequest, "operation %d on configuration %s is unknown", e.Op, e.Name)
	case d.typ != kmsg.ConfigTypeList:
		return "", false, kafka.Errorf(kerr.InvalidConfig, "%s is not a list; it can be set or deleted", e.Name)
	}
	was, ok := findConfig(own, e.Name)
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
	kind     kmsg.ConfigResourceType
	name     string
	change   configChange
}

// maxNamedConfigs bounds the configurations that a request names of one resource. There are some forty.
const maxNamedConfigs = 1000

var errTooManyConfigs = kafka.Errorf(kerr.InvalidRequest, "more than %d configurations of one resource are named", maxNamedConfigs)

func (a *alteration) begin(kind kmsg.ConfigResourceType, name string, named int, twice bool) {
	a.kind, a.name = kind, name
	a.node.out.Work.Names += min(named, maxNamedConfigs) / 2
	switch {
	case named > maxNamedConfigs:
		a.finish(errTooManyConfigs)
	case twice:
		a.finish(kafka.Errorf(kerr.InvalidRequest, "resource %.60q is named twice in the request", name))
	default:
		err := a.wait.request.configRight(acl.AlterConfigs, kind, name)
		if err = cmp.Or(err, a.node.checkConfigurable(kind, name)); err != nil {
			a.finish(err)
			return
		}
		if kind == kmsg.ConfigResourceTypeBrokerLogger {
			a.finish(a.setLogger())
			return
		}
		a.try()
	}
}

// checkConfigurable says whether a client can set configurations of a resource through this broker.
func (n *Node) checkConfigurable(kind kmsg.ConfigResourceType, name string) error {
	switch {
	case kind == kmsg.ConfigResourceTypeBroker && name == "":
		return nil
	case kind == kmsg.ConfigResourceTypeBroker, kind == kmsg.ConfigResourceTypeBrokerLogger:
		return n.checkBrokerName(name)
	case kind == kmsg.ConfigResourceTypeTopic && name == "":
		return kafka.Errorf(kerr.InvalidRequest, "name a topic; there are no configurations of all topics")
	case kind == kmsg.ConfigResourceTypeTopic:
		return checkTopicName(name)
	case kind == configGroup && name == "":
		return kafka.Errorf(kerr.InvalidRequest, "name a group; there are no configurations of all groups")
	case kind == configGroup:
		return checkGroupID(name)
	}
	return kafka.Errorf(kerr.InvalidRequest, "configurations of type %v can't be changed here", kind)
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

// plan works the change out from what this broker knows. Even a change of nothing is decided by the catalog: what it
// deletes may have been set through another broker a moment ago.
func (a *alteration) plan() (command, bool) {
	if a.kind == kmsg.ConfigResourceTypeTopic {
		return a.planTopic()
	}
	_, was := a.node.catalog.findConfigured(a.kind, a.name)
	configs, err := a.change(configKindOf(a.kind), was.Configs)
	switch {
	case err != nil:
	case a.kind == configGroup:
		err = a.node.checkGroupConfigs(configs)
	default:
		err = a.node.checkBrokerConfigs(configs)
	}
	if err != nil || a.validate {
		a.finish(err)
		return command{}, false
	}
	*a.code = kerr.RequestTimedOut.Code // until it is applied
	return command{Configure: &configure{a.kind, a.name, was.Changed, configs}}, true
}

// planTopic does it for a topic. One that isn't known here may exist all the same: the command decides, and by then it is
// known.
func (a *alteration) planTopic() (command, bool) {
	cmd := &alterConfigs{Topic: a.name}
	t := a.node.catalog.byName[a.name]
	if t != nil {
		configs, err := a.worked(t)
		if err != nil || a.validate {
			a.finish(err)
			return command{}, false
		}
		cmd.ID, cmd.Changes, cmd.Configs = t.id(), t.ConfigChanges, configs
	} else if a.validate {
		a.finish(unknownTopic(a.name))
		return command{}, false
	}
	*a.code = kerr.RequestTimedOut.Code // until it is applied
	return command{AlterConfigs: cmd}, true
}

func (a *alteration) worked(t *topicMeta) ([]configValue, error) {
	if t.Internal {
		return nil, kafka.Errorf(kerr.TopicAuthorizationFailed, "%s is the brokers' own", t.Name)
	}
	configs, err := a.change(configKindOf(kmsg.ConfigResourceTypeTopic), t.Configs)
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
