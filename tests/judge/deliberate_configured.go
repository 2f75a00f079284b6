// SPDX-License-Identifier: Apache-2.0

package main

const (
	noInterval = "assignments are made at once, so there is no interval to be told, and none other than 0 is taken"
	oneName    = "retention has one name among the settings of a broker; Kafka's is told in hours by default"
)

// deliberateConfigured are those about configurations of groups and brokers.
var deliberateConfigured = map[string]difference{
	"group configs: an interval by default": {
		`{Resources=[{ErrorCode=ok ResourceType=GROUP_CONFIG ResourceName="c-none" Configs=[{Name="consumer.assignment.interval.ms" Value="0" ReadOnly=false IsDefault=false Source=DEFAULT_CONFIG IsSensitive=false ConfigSynonyms=[{Name="group.consumer.assignment.interval.ms" Value="0" Source=DEFAULT_CONFIG}] ConfigType=INT}]}]}`,
		noInterval,
	},
	"group configs: an interval of 1000": {
		`{Resources=[{ErrorCode=INVALID_CONFIG ResourceType=GROUP_CONFIG ResourceName="c"}]}`,
		noInterval,
	},
	"group configs: of share groups": {
		`{Resources=[{ErrorCode=INVALID_CONFIG ResourceType=GROUP_CONFIG ResourceName="c"}]}`,
		"share groups are not served",
	},
	"group configs: of streams groups": {
		`{Resources=[{ErrorCode=INVALID_CONFIG ResourceType=GROUP_CONFIG ResourceName="c"}]}`,
		"streams groups are not served",
	},
	"broker configs: a topic's retention": {
		`{Resources=[{ErrorCode=ok ResourceType=TOPIC ResourceName="bc" Configs=[{Name="retention.ms" Value="500000" ReadOnly=false IsDefault=false Source=DYNAMIC_DEFAULT_BROKER_CONFIG IsSensitive=false ConfigSynonyms=[{Name="log.retention.ms" Value="500000" Source=DYNAMIC_DEFAULT_BROKER_CONFIG} {Name="log.retention.ms" Value="604800000" Source=DEFAULT_CONFIG}] ConfigType=LONG}]}]}`,
		oneName,
	},
	"broker configs: a topic's retention on this one": {
		`{Resources=[{ErrorCode=ok ResourceType=TOPIC ResourceName="bc" Configs=[{Name="retention.ms" Value="400000" ReadOnly=false IsDefault=false Source=DYNAMIC_BROKER_CONFIG IsSensitive=false ConfigSynonyms=[{Name="log.retention.ms" Value="400000" Source=DYNAMIC_BROKER_CONFIG} {Name="log.retention.ms" Value="500000" Source=DYNAMIC_DEFAULT_BROKER_CONFIG} {Name="log.retention.ms" Value="604800000" Source=DEFAULT_CONFIG}] ConfigType=LONG}]}]}`,
		oneName,
	},
	"broker configs: a topic's retention as it was": {
		`{Resources=[{ErrorCode=ok ResourceType=TOPIC ResourceName="bc" Configs=[{Name="retention.ms" Value="604800000" ReadOnly=false IsDefault=false Source=DEFAULT_CONFIG IsSensitive=false ConfigSynonyms=[{Name="log.retention.ms" Value="604800000" Source=DEFAULT_CONFIG}] ConfigType=LONG}]}]}`,
		oneName,
	},
	"broker configs: throttle, slow": {
		`{Resources=[{ErrorCode=INVALID_REQUEST ResourceType=BROKER ResourceName="1"}]}`,
		"a rate below 64 KiB a second would keep replicas from ever being in sync; as a setting it isn't taken either",
	},
	"broker configs: an unknown key": {
		`{Resources=[{ErrorCode=INVALID_CONFIG ResourceType=BROKER ResourceName="1"}]}`,
		"Kafka keeps what it doesn't know, for plug-ins; here it would be a typing error that nobody is told of",
	},
}
