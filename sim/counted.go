// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A step's budget protects everybody else from a large request only as far as the work is counted that goes with its size (node.Work). So what
// an answer lists has to have been counted between the arrival of its request and the answer: a name or a part for each thing
// listed, at least (check uncounted). Whatever else the broker did in that time counts, too, so this is right and not sharp.
// Most requests that are asked about one by one meet a broker with nothing else to do.

// uncounted are lists within answers, and lists within them, that don't go with what is asked for, or that are counted at
// another price, by the names of their types in package kmsg.
var uncounted = map[string]bool{
	"MetadataResponseBroker":                                   true, // encoded once for many answers
	"ProduceResponseBroker":                                    true,
	"ProduceResponseTopicPartitionErrorRecord":                 true, // of records whose bytes were counted
	"FetchResponseBroker":                                      true,
	"FetchResponseTopicPartitionAbortedTransaction":            true,
	"ApiVersionsResponseApiKey":                                true, // always the same
	"ApiVersionsResponseSupportedFeature":                      true,
	"ApiVersionsResponseFinalizedFeature":                      true,
	"ConsumerGroupHeartbeatResponseAssignmentTopic":            true,
	"CreateTopicsResponseTopicConfig":                          true, // five names for all
	"DescribeConfigsResponseResourceConfigConfigSynonym":       true,
	"DescribeQuorumResponseNode":                               true, // as many as voters and observers
	"DescribeQuorumResponseNodeListener":                       true,
	"DescribeLogDirsResponseDir":                               true, // the only one
	"DescribeACLsResponseResource":                             true, // sixteen parts for a piece of all rules
	"DescribeACLsResponseResourceACL":                          true,
	"DescribeClientQuotasResponseEntry":                        true, // sixteen parts for a piece of all quotas
	"DescribeClientQuotasResponseEntryEntity":                  true,
	"DescribeClientQuotasResponseEntryValue":                   true,
	"DescribeUserSCRAMCredentialsResponseResultCredentialInfo": true,
}

// listed counts what an answer lists.
func listed(v reflect.Value) int {
	n := 0
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n += listed(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += listed(v.Field(i))
		}
	case reflect.Slice:
		e := v.Type().Elem()
		if e.Kind() != reflect.Struct || uncounted[e.Name()] {
			return 0
		}
		n += v.Len()
		for i := range v.Len() {
			n += listed(v.Index(i))
		}
	}
	return n
}

// checkCounted compares what an answer lists with what its broker counted meanwhile.
func (w *world) checkCounted(cn *conn, resp kmsg.Response) {
	counted := cn.counted[0]
	cn.counted = cn.counted[1:]
	n := listed(reflect.ValueOf(resp))
	if d, ok := resp.(*kmsg.DescribeTopicPartitionsResponse); ok && len(d.Topics) > 0 {
		n-- // a cursor that is refused
	}
	if n > counted {
		w.fail("uncounted", "broker %d lists %d things in an answer to %s (version %d), and counted %d names and parts since the request came", cn.broker.number, n, kmsg.NameForKey(resp.Key()), resp.GetVersion(), counted)
	}
}
