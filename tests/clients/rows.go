// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"chronik/tests/rig"
)

// row is one client of the matrix.
type row struct {
	name  string
	setup func(context.Context, *bench) (*client, error) // installs what it needs; its error says why that can't be had
	lacks map[string]string                              // by feature: what is not in the client itself
	notes map[string]string                              // by feature: how far it is in the client
}

var (
	classicOnly = map[string]string{kip848: "the client has the classic group protocol only"}
	old         = map[string]string{kip848: classicOnly[kip848], "txn": "the client has no transactions"}
	toolsNotes  = map[string]string{"txn": "kafka-producer-perf-test writes, kafka-transactions looks for what hangs, and the console consumer reads what is committed"}
	noLeader    = map[string]string{"SIGKILL": "kafka-go's Writer gives a write up while a partition elects its leader, so the program writes it again", "certificates": newOnly}
	oldLogin    = map[string]string{"secure": "kafka-python 2 logs in by the oldest exchange, which has no error but the end of the connection: a wrong password is NoBrokersAvailable"}
	kcatNotes   = map[string]string{"txn": "kcat writes all that it gets in one transaction, and can't commit offsets in it", "admin": "kcat has no admin commands: topics appear by writing to them, and it lists brokers, topics and offsets"}
)

const newOnly = "new connections only"

// client is how one client is made to do what the matrix asks. Most have a program of the matrix in
// their own language, see fromProgram.
type client struct {
	version    string
	roundtrip  func(ctx context.Context, topic, codec string) error
	admin      func(ctx context.Context, topic string) error
	member     func(name, topic, group, protocol string) (*process, error) // protocol: classic or consumer (KIP-848)
	writer     func(name, topic, prefix string) (*process, error)
	afterwards func(ctx context.Context, group string) error // what else can be done with a group that is left; may be nil

	// secure takes one step as a user by the secured listener: create, produce or consume. It returns what was printed.
	secure      func(ctx context.Context, as login, step, topic, group string) (string, error)
	secureAdmin func(ctx context.Context, right, poor login) error // users and rules by the client itself; may be nil
	// memberAs and writerAs do as member and writer as a user by the secured listener; may be nil.
	memberAs func(as login, name, topic, group string) (*process, error)
	writerAs func(as login, name, topic, prefix string) (*process, error)
	quiet    bool // it says what is refused, but ends well

	transactions func(ctx context.Context, topic, copied string) error // nil: see row.lacks
	txnTopics    int                                                   // how many of the two topics are judged: 1 if it can't commit offsets in a transaction
}

func rows() []row {
	return []row{
		{"franz-go", goClient("franzgo", "github.com/twmb/franz-go"), nil, nil},
		{"sarama", goClient("sarama", "github.com/IBM/sarama"), classicOnly, nil},
		{"segmentio/kafka-go", goClient("kafkago", "github.com/segmentio/kafka-go"), old, noLeader},
		{"librdkafka: kcat", kcatClient, classicOnly, kcatNotes},
		{"librdkafka: confluent-kafka", pythonClient("confluent", "confluent.py"), nil, nil},
		{"kafka-python 2", pythonClient("kafka_python2", "kafka_python.py"), old, oldLogin},
		{"kafka-python 3", pythonClient("kafka_python3", "kafka_python.py"), classicOnly, nil},
		{"Java", javaClient, nil, nil},
		{"kafkajs", jsClient, classicOnly, nil},
		{"Kafka's tools", toolsClient, nil, toolsNotes},
	}
}

// fromProgram makes a client of a program that knows the commands roundtrip, admin, txn, member and writer.
func (b *bench) fromProgram(version string, program ...string) *client {
	command := func(ctx context.Context, args ...string) *exec.Cmd {
		args = append(program[1:len(program):len(program)], args...)
		cmd := exec.CommandContext(ctx, program[0], args...)
		cmd.Env = append(os.Environ(), "BOOTSTRAP="+b.bootstrap, "NODE_PATH="+filepath.Join(b.cache, "js", "node_modules"))
		return cmd
	}
	background := context.Background()
	commandAs := func(ctx context.Context, as login, args ...string) *exec.Cmd {
		cmd := command(ctx, args...)
		cmd.Env = append(cmd.Env, "BOOTSTRAP="+b.secured.bootstrap, "CA="+b.secured.authority, "USERNAME="+as.user, "PASSWORD="+as.password)
		return cmd
	}
	return &client{
		version:   version,
		txnTopics: 2,
		roundtrip: func(ctx context.Context, topic, codec string) error {
			_, err := rig.Call(command(ctx, "roundtrip", topic, codec))
			return err
		},
		admin: func(ctx context.Context, topic string) error {
			_, err := rig.Call(command(ctx, "admin", topic))
			return err
		},
		transactions: func(ctx context.Context, topic, copied string) error {
			_, err := rig.Call(command(ctx, "txn", topic, copied))
			return err
		},
		secure: func(ctx context.Context, as login, step, topic, group string) (string, error) {
			return rig.Call(commandAs(ctx, as, "secure", step, topic, group))
		},
		memberAs: func(as login, name, topic, group string) (*process, error) {
			return start(name, commandAs(background, as, "member", topic, group, "classic"), parseLines)
		},
		writerAs: func(as login, name, topic, prefix string) (*process, error) {
			return start(name, commandAs(background, as, "writer", topic, prefix), parseLines)
		},
		member: func(name, topic, group, protocol string) (*process, error) {
			return start(name, command(background, "member", topic, group, protocol), parseLines)
		},
		writer: func(name, topic, prefix string) (*process, error) {
			return start(name, command(background, "writer", topic, prefix), parseLines)
		},
	}
}

// installed is a folder of the cache that steps fill, once for each content of a file.
func (b *bench) installed(name, manifest string, steps func(dir string) error) (dir string, err error) {
	dir = filepath.Join(b.cache, name)
	text, err := os.ReadFile(filepath.Join(b.here, manifest))
	if err != nil {
		return "", err
	}
	return dir, rig.Install(dir, string(text), steps)
}

// goClient builds a program of the Go module beside this one.
func goClient(name, module string) func(context.Context, *bench) (*client, error) {
	return func(ctx context.Context, b *bench) (*client, error) {
		program := filepath.Join(b.cache, "go", name)
		folder := filepath.Join(b.here, "go")
		if _, err := rig.Call(exec.CommandContext(ctx, "go", "build", "-C", folder, "-o", program, "./"+name)); err != nil {
			return nil, err
		}
		version, err := rig.Call(exec.CommandContext(ctx, "go", "list", "-C", folder, "-m", "-f", "{{.Version}}", module))
		if err != nil {
			return nil, err
		}
		c := b.fromProgram(strings.TrimSpace(version), program)
		if name == "kafkago" { // it has another way to log in for each of its parts
			c.memberAs, c.writerAs = nil, nil
		}
		return c, nil
	}
}

// pythonClient makes a virtual environment with what is in a list of requirements, of which the first
// is the client.
func pythonClient(name, script string) func(context.Context, *bench) (*client, error) {
	return func(ctx context.Context, b *bench) (*client, error) {
		list := filepath.Join("python", name+".txt")
		dir, err := b.installed(name, list, func(dir string) error {
			if _, err := rig.Call(exec.CommandContext(ctx, "python3", "-m", "venv", dir)); err != nil {
				return err
			}
			_, err := rig.Call(exec.CommandContext(ctx, filepath.Join(dir, "bin", "pip"), "install", "-q", "-r", filepath.Join(b.here, list)))
			return err
		})
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(filepath.Join(b.here, list))
		if err != nil {
			return nil, err
		}
		first, _, _ := strings.Cut(string(text), "\n")
		_, version, _ := strings.Cut(first, "==")
		return b.fromProgram(version, filepath.Join(dir, "bin", "python"), filepath.Join(b.here, "python", script)), nil
	}
}

func jsClient(ctx context.Context, b *bench) (*client, error) {
	_, err := b.installed("js", "js/package.json", func(dir string) error {
		text, err := os.ReadFile(filepath.Join(b.here, "js", "package.json"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "package.json"), text, 0o644); err != nil {
			return err
		}
		_, err = rig.Call(exec.CommandContext(ctx, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir))
		return err
	})
	if err != nil {
		return nil, err
	}
	text, err := rig.Call(exec.CommandContext(ctx, "node", "-p", fmt.Sprintf("require(%q).version", filepath.Join(b.cache, "js", "node_modules", "kafkajs", "package.json"))))
	if err != nil {
		return nil, err
	}
	return b.fromProgram(strings.TrimSpace(text), "node", filepath.Join(b.here, "js", "client.js")), nil
}

// classpath resolves Kafka's own artifacts with Maven.
func (b *bench) classpath(ctx context.Context) (classpath, version string, err error) {
	dir, err := b.installed("java", "java/pom.xml", func(dir string) error {
		_, err := rig.Call(exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", filepath.Join(b.here, "java", "pom.xml"),
			"dependency:build-classpath", "-Dmdep.outputFile="+filepath.Join(dir, "classpath")))
		return err
	})
	if err != nil {
		return "", "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, "classpath"))
	if err != nil {
		return "", "", err
	}
	_, after, _ := strings.Cut(string(text), "kafka-clients-")
	version, _, _ = strings.Cut(after, ".jar")
	return strings.TrimSpace(string(text)), version, nil
}

func javaClient(ctx context.Context, b *bench) (*client, error) {
	classpath, version, err := b.classpath(ctx)
	if err != nil {
		return nil, err
	}
	classes := filepath.Join(b.cache, "java", "classes")
	if _, err := rig.Call(exec.CommandContext(ctx, "javac", "-cp", classpath, "-d", classes, filepath.Join(b.here, "java", "Client.java"))); err != nil {
		return nil, err
	}
	c := b.fromProgram(version, "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath+":"+classes, "Client")
	logger, err := b.logger(ctx)
	if err != nil {
		return nil, err
	}
	says := b.fromProgram(version, append(append([]string{"java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"}, talkative...),
		"-cp", withLogger(classpath, logger)+":"+classes, "Client")...)
	c.memberAs, c.writerAs = says.memberAs, says.writerAs
	return c, nil
}
