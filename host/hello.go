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
//	hello, dialer -> listener:   "CHRK" or "CHRC" | lowest version 2 | from 4 | to 4 | cluster id: length 1, bytes | replica | nonce 16
//	challenge, listener -> dialer: nonce 16 | proof 32      (secret.go)
//	response, dialer -> listener:  proof 32
//	answer, listener -> dialer:  "CHRK" | version 2 | replica | final 1 | refusal: length 2, bytes (length 0: welcome)
//	replica:                     incarnation 4 | folder id: length 1, bytes
//	then, dialer -> listener:    length 4 | CRC-32C of the data 4 | from version 11 on: CRC-32C of these 8 bytes 4 | data     (length 0: still alive)
//	and, listener -> dialer, now and then: the same. It is how a process hears that it has a broker's id, which isn't where
//	that broker is looked for.
//
// "CHRC" asks for a visit instead: what follows the answer is in visits.go. No release before it takes one.
//
// The answer's version is what the rest is written in, see versions.go. In a refusal it is the dialer's lowest one.
//
// A refusal is final (1) if the dialer, such as it is, will never be listened to.
//
// All before the frames is the same in all versions of the protocol.
const (
	peerMagic  = "CHRK"
	visitMagic = "CHRC"

	// maxEnvelope bounds one envelope. A node sends at most its replication window to one peer.
	maxEnvelope = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hello says who dials whom.
type hello struct {
	cluster  string
	from, to node.BrokerID
	replica  replica
	nonce    nonce // of the dialer
	visit    bool  // somebody at the dialer's console wants something
	speaks   versions
}

// spoken are the versions that a broker speaks: those of this release, unless a test says otherwise.
func (h hello) spoken() versions {
	if h.speaks == (versions{}) {
		return peerVersions
	}
	return h.speaks
}

// replica tells a broker's present data folder from those it had before.
type replica struct {
	incarnation uint32
	folder      string
}

// check refuses a founder that is not the one that the cluster knows, by the id of its folder. It
// has forgotten what it voted for and stored, and so must not be listened to. A broker that joins
// says so by its incarnation.
func (r replica) check(id node.BrokerID, known string) string {
	if r.incarnation == founder && known != "" && known != r.folder {
		return fmt.Sprintf("the cluster knows broker %d with another data folder than its present one, which was formatted as if the cluster were new. "+
			"If the old folder is lost, empty the present one and run: broker start -join -config FILE", id)
	}
	return ""
}

func (r replica) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, r.incarnation)
	b = append(b, byte(len(r.folder)))
	return append(b, r.folder...)
}

func readReplica(from io.Reader) (replica, error) {
	var incarnation [4]byte
	if _, err := io.ReadFull(from, incarnation[:]); err != nil {
		return replica{}, err
	}
	folder, err := readShort(from)
	return replica{binary.BigEndian.Uint32(incarnation[:]), folder}, err
}

// readShort reads a length byte and so many bytes.
func readShort(from io.Reader) (string, error) {
	var n [1]byte
	if _, err := io.ReadFull(from, n[:]); err != nil {
		return "", err
	}
	text := make([]byte, n[0])
	_, err := io.ReadFull(from, text)
	return string(text), err
}

func (h hello) append(b []byte) []byte {
	magic := peerMagic
	if h.visit {
		magic = visitMagic
	}
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, h.spoken().lowest)
	b = binary.BigEndian.AppendUint32(b, uint32(h.from))
	b = binary.BigEndian.AppendUint32(b, uint32(h.to))
	b = append(b, byte(len(h.cluster)))
	b = append(b, h.cluster...)
	b = h.replica.append(b)
	return append(b, h.nonce[:]...)
}

func readHello(r io.Reader) (hello, error) {
	var head [14]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return hello{}, err
	}
	visit := string(head[:4]) == visitMagic
	if visit {
		copy(head[:], peerMagic)
	}
	lowest, err := checkMagic(head[:6])
	if err != nil {
		return hello{}, err
	}
	if lowest < sameHello {
		return hello{}, fmt.Errorf("the other broker speaks version %d of the peer protocol, this one %v: its release is too old, and has another hello. "+
			"Start a newer one there", lowest, peerVersions)
	}
	h := hello{
		visit: visit,
		from:  node.BrokerID(binary.BigEndian.Uint32(head[6:])),
		to:    node.BrokerID(binary.BigEndian.Uint32(head[10:])),
	}
	if h.cluster, err = readShort(r); err != nil {
		return hello{}, err
	}
	if h.replica, err = readReplica(r); err != nil {
		return hello{}, err
	}
	_, err = io.ReadFull(r, h.nonce[:])
	h.speaks = h.nonce.told(lowest)
	return h, err
}

// checkMagic returns the version.
func checkMagic(b []byte) (uint16, error) {
	if b[0] == recordHandshake {
		return 0, errors.New("the other end speaks TLS, and this broker has none for others: set peer_tls_cert_file, peer_tls_key_file and peer_tls_ca_file, with peer_tls = \"accept\" at first")
	}
	if string(b[:4]) != peerMagic {
		return 0, errors.New("the other end is no chronik broker's peer port")
	}
	return binary.BigEndian.Uint16(b[4:]), nil
}

// appendAnswer appends the listener's answer; an empty refusal is a welcome.
func appendAnswer(b []byte, version uint16, self replica, final bool, refusal string) []byte {
	b = append(b, peerMagic...)
	b = binary.BigEndian.AppendUint16(b, version)
	b = self.append(b)
	if final {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(refusal)))
	return append(b, refusal...)
}

// readAnswer returns who the other end is and which version it chose, and its refusal as an error.
func readAnswer(r io.Reader, speaks versions) (them replica, version uint16, err error) {
	var head [6]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return them, 0, err
	}
	if version, err = checkMagic(head[:]); err != nil {
		return them, 0, err
	}
	if !speaks.has(version) {
		return them, 0, fmt.Errorf("the other broker chose version %d of the peer protocol, this one speaks %v", version, speaks)
	}
	if them, err = readReplica(r); err != nil {
		return them, 0, err
	}
	var n [3]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return them, 0, err
	}
	refusal := make([]byte, binary.BigEndian.Uint16(n[1:]))
	if _, err := io.ReadFull(r, refusal); err != nil {
		return them, 0, err
	}
	if len(refusal) > 0 {
		return them, 0, refusedError{string(refusal), n[0] == 1}
	}
	return them, version, nil
}

// refusedError is what a listener says that doesn't take a connection.
type refusedError struct {
	text  string
	final bool
}

func (e refusedError) Error() string { return "refused: " + e.text }

// refusal says why a dialer that said h may not send to us; "" if it may. One that we don't know may:
// it is new to the cluster and is going to register.
func refusal(h, self hello, knownFolder string) (text string, final bool) {
	switch {
	case h.cluster != self.cluster:
		return fmt.Sprintf("this broker belongs to cluster %q, you to %q; mend the peer address or cluster_id", self.cluster, h.cluster), false
	case h.to != self.from:
		return fmt.Sprintf("this is broker %d, you look for broker %d; mend the peer addresses in members", self.from, h.to), false
	case h.from == self.from:
		return fmt.Sprintf("this is broker %d, too; give every broker its own broker_id", self.from), false
	}
	if _, ok := self.spoken().common(h.spoken()); !ok {
		return self.spoken().strange(h.spoken()), false
	}
	text = h.replica.check(h.from, knownFolder)
	return text, text != ""
}

// envelope appends one frame; none at all is a sign of life.
func (g *gather) envelope(version uint16, pieces [][]byte) {
	head := frameHead{size: uint32(frameBytes(pieces))}
	for _, piece := range pieces {
		head.sum = crc32.Update(head.sum, castagnoli, piece)
	}
	g.uint32(head.size)
	g.uint32(head.sum)
	if version >= checkedHeads {
		g.uint32(head.headSum())
	}
	for _, piece := range pieces {
		g.bytes(piece)
	}
}

// firstPart is how much of an envelope is made room for when only its length has come.
const firstPart = 256 << 10

// readEnvelope returns the next frame's data; empty for a sign of life. Its buffer grows with what has arrived, to twice
// that at most, so that a length alone takes no memory. reserve is told the size before it is allocated, in the place
// of what it was told before, and says whether to go on.
func readEnvelope(sock net.Conn, in *bufio.Reader, version uint16, reserve func(n int64) bool) ([]byte, error) {
	sock.SetReadDeadline(time.Now().Add(silenceTime))
	head, err := readHead(in, version)
	if err != nil {
		return nil, err
	}
	n := head.size
	if n > maxEnvelope {
		return nil, fmt.Errorf("an envelope of %d bytes, the limit is %d", n, maxEnvelope)
	}
	var data []byte
	for have := 0; have < int(n) || n == 0 && data == nil; {
		size := min(int(n), max(firstPart, 2*have))
		if !reserve(int64(size)) {
			return nil, net.ErrClosed
		}
		data = append(make([]byte, 0, size), data...)[:size]
		if err := readFull(sock, in, data[have:]); err != nil {
			return nil, err
		}
		have = size
	}
	if crc32.Checksum(data, castagnoli) != head.sum {
		return nil, errors.New("an envelope's checksum is wrong: bytes were changed on the way")
	}
	return data, nil
}

var errHead = errors.New("the checksum of an envelope's head is wrong: bytes were changed on the way")
