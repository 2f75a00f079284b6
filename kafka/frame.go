// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// MaxFrameBytes is the largest frame that is read from a client, in bytes, without its four length
// bytes. It is the default of Kafka's socket.request.max.bytes.
const MaxFrameBytes = 100 << 20

// minFrameBytes is what the shortest frame of any kind holds: a response's correlation id.
const minFrameBytes = 4

// FrameLen returns the length in bytes of the frame that follows the length bytes head, at most max.
// The error says what the other end probably is; nothing can be read after it, so close the
// connection.
func FrameLen(head [4]byte, max int32) (int, error) {
	n := int32(binary.BigEndian.Uint32(head[:]))
	if n >= minFrameBytes && n <= max {
		return int(n), nil
	}
	if guess := guessProtocol(head); guess != "" {
		return 0, fmt.Errorf("the first bytes %q are no Kafka frame but look like %s", head[:], guess)
	}
	switch {
	case n < 0:
		return 0, fmt.Errorf("frame length %d is negative; this is not the Kafka protocol", n)
	case n < minFrameBytes:
		return 0, fmt.Errorf("frame length %d is too short for a header; this is not the Kafka protocol", n)
	default:
		return 0, fmt.Errorf("frame of %d bytes is over the limit of %d; let the client send smaller requests (max.request.size)", n, max)
	}
}

// guessProtocol names what the other end speaks, for the mistakes that people make most.
func guessProtocol(head [4]byte) string {
	if head[0] == 0x16 && head[1] == 0x03 { // record type handshake, major version 3 (RFC 8446 5.1)
		return "TLS; connect without TLS, or to the TLS port"
	}
	if strings.Contains("GET HEADPOSTPUT DELEOPTIPATCCONNTRACPRI ", string(head[:])) {
		return "HTTP; this is a Kafka port"
	}
	return ""
}
