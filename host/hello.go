// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"

	"chronik/node"
)

// Between two brokers there is one TCP connection each way; whoever wants to send dials. Numbers
// are big-endian.
//
//	hello, dialer -> listener:   "CHRK" | version 2 | from 4 | to 4 | cluster id: length 1, bytes
//	answer, listener -> dialer:  "CHRK" | version 2 | refusal: length 2, bytes (length 0: welcome)
//	then, dialer -> listener:    length 4 | CRC-32C of the data 4 | data     (length 0: still alive)
//
// The constants are part of the wire format: change them only together with peerVersion.
const (
	peerMagic   = "CHRK"
	peerVersion = 1

	envelopeHead = 8 // bytes before the data

	// maxEnvelope bounds one envelope. A node sends at most its replication window to one peer.
	maxEnvelope = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hello says who dials whom.
type hello struct {
	cluster  string
	from, to node.BrokerID
}

func (h hello) append(b []byte) []byte {
	b = append(b, peerMagic...)
	b = binary.BigEndian.AppendUint16(b, peerVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(h.from))
	b = binary.BigEndian.AppendUint32(b, uint32(h.to))
	b = append(b, byte(len(h.cluster)))
	return append(b, h.cluster...)
}

func readHello(r io.Reader) (hello, error) {
	var head [15]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return hello{}, err
	}
	if err := checkMagic(head[:6]); err != nil {
		return hello{}, err
	}
	cluster := make([]byte, head[14])
	if _, err := io.ReadFull(r, cluster); err != nil {
		return hello{}, err
	}
	return hello{
		cluster: string(cluster),
		from:    node.BrokerID(binary.BigEndian.Uint32(head[6:])),
		to:      node.BrokerID(binary.BigEndian.Uint32(head[10:])),
	}, nil
}

func checkMagic(b []byte) error {
	if string(b[:4]) != peerMagic {
		return errors.New("the other end is no chronik broker's peer port")
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != peerVersion {
		return fmt.Errorf("the other broker speaks version %d of the peer protocol, this one version %d", v, peerVersion)
	}
	return nil
}

// appendAnswer appends the listener's answer; an empty refusal is a welcome.
func appendAnswer(b []byte, refusal string) []byte {
	b = append(b, peerMagic...)
	b = binary.BigEndian.AppendUint16(b, peerVersion)
	b = binary.BigEndian.AppendUint16(b, uint16(len(refusal)))
	return append(b, refusal...)
}

// readAnswer returns the other end's refusal as an error.
func readAnswer(r io.Reader) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	if err := checkMagic(head[:6]); err != nil {
		return err
	}
	refusal := make([]byte, binary.BigEndian.Uint16(head[6:]))
	if _, err := io.ReadFull(r, refusal); err != nil {
		return err
	}
	if len(refusal) > 0 {
		return fmt.Errorf("refused: %s", refusal)
	}
	return nil
}

// refusal says why a dialer that said h may not send to us; "" if it may.
func refusal(h, self hello, known func(node.BrokerID) bool) string {
	switch {
	case h.cluster != self.cluster:
		return fmt.Sprintf("this broker belongs to cluster %q, you to %q; mend the peer address or cluster_id", self.cluster, h.cluster)
	case h.to != self.from:
		return fmt.Sprintf("this is broker %d, you look for broker %d; mend the peer addresses in members", self.from, h.to)
	case !known(h.from):
		return fmt.Sprintf("broker %d is not in this broker's list of members; the list must be the same on every broker", h.from)
	}
	return ""
}

// envelope appends one frame.
func (g *gather) envelope(data []byte) {
	g.uint32(uint32(len(data)))
	g.uint32(crc32.Checksum(data, castagnoli))
	g.bytes(data)
}

// readEnvelope returns the next frame's data; empty for a sign of life. reserve is told the size
// before it is allocated and says whether to go on.
func readEnvelope(sock net.Conn, in *bufio.Reader, reserve func(n int64) bool) ([]byte, error) {
	var head [8]byte
	sock.SetReadDeadline(time.Now().Add(silenceTime))
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxEnvelope {
		return nil, fmt.Errorf("an envelope of %d bytes, the limit is %d", n, maxEnvelope)
	}
	if !reserve(int64(n)) {
		return nil, net.ErrClosed
	}
	data := make([]byte, n)
	if err := readFull(sock, in, data); err != nil {
		return nil, err
	}
	if crc32.Checksum(data, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, errors.New("an envelope's checksum is wrong: bytes were changed on the way")
	}
	return data, nil
}
