// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// A broker has one logger, root. Its level is the configuration of a resource of type BROKER_LOGGER, which clients ask for and change on the
// broker itself (KIP-412, `kafka-configs --entity-type broker-loggers`). It is no state of the catalog: it holds until the broker
// ends, and the next start goes by its settings again.

// LogLevel says which lines of a broker's log are written: those of this level and above.
type LogLevel int8

// The zero value is what a broker begins with unless it is told otherwise.
const (
	LogDebug LogLevel = iota - 1 // with a line for each error that a client gets
	LogInfo
	LogWarn
	LogError
)

// logLevels are their names, which are Kafka's, from LogDebug on.
var logLevels = [...]string{"DEBUG", "INFO", "WARN", "ERROR"}

// String returns the level's name in Kafka, e.g. "INFO".
func (l LogLevel) String() string { return logLevels[l-LogDebug] }

// logLevelOf is the level of that name.
func logLevelOf(name string) (LogLevel, bool) {
	for i, is := range logLevels {
		if is == name {
			return LogLevel(i) + LogDebug, true
		}
	}
	return 0, false
}

const rootLogger = "root"

// loggerDefs are the loggers, as configurations.
var loggerDefs = []configDef{{
	name: rootLogger, typ: kmsg.ConfigTypeString, doc: "From which level on this broker writes lines into its log, until it ends.",
	check: func(value string, _ int) string {
		if _, ok := logLevelOf(value); ok {
			return ""
		}
		return "must be " + strings.Join(logLevels[:len(logLevels)-1], ", ") + " or " + logLevels[len(logLevels)-1]
	},
}}

func unknownLogger(name string) error {
	return kafka.Errorf(kerr.InvalidConfig, "there is no logger %.60q; the only one is %s", name, rootLogger)
}

func (n *Node) loggerConfigs() []configValue {
	return []configValue{{rootLogger, n.logLevel.String()}}
}

// loggerConfigValues lists the loggers of this broker.
func (n *Node) loggerConfigValues() []configEntry {
	return []configEntry{{&loggerDefs[0], []configSynonym{{rootLogger, n.logLevel.String(), kmsg.ConfigSourceDynamicBrokerLoggerConfig}}}}
}

// setLogger makes the change at once.
func (a *alteration) setLogger() error {
	configs, err := a.change(configKindOf(a.kind), a.node.loggerConfigs())
	if err != nil {
		return err
	}
	value, ok := findConfig(configs, rootLogger)
	if !ok {
		return kafka.Errorf(kerr.InvalidRequest, "the level of %s can't be taken away; set another one", rootLogger)
	}
	if wrong := loggerDefs[0].check(value, 0); wrong != "" {
		return kafka.Errorf(kerr.InvalidConfig, "the level of %s %s, not %.60q", rootLogger, wrong, value)
	}
	if level, _ := logLevelOf(value); !a.validate {
		a.node.setLogLevel(level)
	}
	return nil
}

func (n *Node) setLogLevel(level LogLevel) {
	n.logLevel = level
	n.out.LogLevel = &level
}
