// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
)

const chapter = "### Three brokers on one machine, with systemd\n"

var block = regexp.MustCompile("(?s)```sh\n(.*?)```\n")

// scriptOf returns the commands of the chapter, and between them what is tried beside it.
func scriptOf(document string) (string, error) {
	_, rest, found := strings.Cut(document, chapter)
	text, _, ends := strings.Cut(rest, "\n## ")
	blocks := block.FindAllStringSubmatch(text, -1)
	if !found || !ends || len(blocks) != 4 {
		return "", fmt.Errorf("docs/OPERATIONS.md has %d blocks of commands below %q, this program knows what to do between four", len(blocks), strings.TrimSpace(chapter))
	}
	install, configure, use, upgrade := blocks[0][1], blocks[1][1], blocks[2][1], blocks[3][1]
	return begin + install + configure + use + write + upgrade + after, nil
}

// unit runs the walk when the container has booted, and ends the container.
const unit = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /root/walk.sh
StandardOutput=file:/root/walk.out
StandardError=file:/root/walk.out
ExecStopPost=/bin/systemctl poweroff --no-block
`

const begin = `export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
cd /root/old
`

// write writes records, and goes on writing while the brokers are upgraded.
const write = `
cat > /root/alice.conf <<END
bootstrap.servers=127.0.0.1:9091,127.0.0.1:9092,127.0.0.1:9093
security.protocol=SASL_SSL
ssl.ca.location=/etc/chronik/ca.crt
sasl.mechanisms=SCRAM-SHA-512
sasl.username=alice
sasl.password=$(cat alice.pw)
END
seq 1000 | kcat -F /root/alice.conf -P -t orders -X acks=all
cd /root/new
for i in $(seq 60); do echo during-$i | kcat -F /root/alice.conf -P -t orders -X acks=all || echo "walk: refused"; done &
writer=$!
`

// after reads everything back, kills a broker, and removes the package.
const after = `
wait $writer
kcat -F /root/alice.conf -C -t orders -e -q > /root/read
echo "walk: $(grep -vc during /root/read) before, $(grep -c during /root/read) during the upgrade"
echo "walk: restarts $(systemctl show -p NRestarts --value chronik@1 chronik@2 chronik@3 | xargs)"
kill -9 $(systemctl show -p MainPID --value chronik@2)
sleep 3
ready 2
echo "walk: killed, then $(systemctl is-active chronik@2), restarts $(systemctl show -p NRestarts --value chronik@2)"
systemd-analyze security chronik@1 --no-pager | tail -1
systemctl disable --now chronik@1 chronik@2 chronik@3
apt-get remove -y chronik
echo "walk: removed, $(systemctl is-active chronik@1), $(ls /var/lib/chronik | xargs) are left"
`

// expected is what the walk has to print.
var expected = []string{
	`^all replicas of 6 partitions are in sync$`,
	`^chronik_ready 1$`,
	`^backup \S+ is whole: 1 topics`,
	`^the cluster is at level \d+, the newest that all these brokers support$`,
	`^walk: 1000 before, 60 during the upgrade$`,
	`^walk: restarts 0 0 0$`,
	`^walk: killed, then active, restarts 1$`,
	`Overall exposure level for chronik@1.service: [01]\.\d OK`,
	`^walk: removed, inactive, 1 2 3 peer.secret are left$`,
}
