// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Keys that the header code has to know by number.
const (
	keyControlledShutdown = 7
	keyAPIVersions        = 18
)

// Header is the header of a request (the protocol's request header v0 to v2).
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      string // "" also when it is null
}

// String returns the request's name and version, e.g. "Metadata v9".
func (h Header) String() string {
	return fmt.Sprintf("%s v%d", kmsg.NameForKey(h.Key), h.Version)
}

// ParseHeader parses the header of a request frame (without length bytes) and returns the body that
// follows it.
//
// For a key that no Kafka release has, the error is ErrUnknownKey and the header is filled in. A
// version above what is known is no error: the caller checks its range first, and has to answer an
// ApiVersions request of any version without looking at the body (KIP-511).
func ParseHeader(frame []byte) (h Header, body []byte, err error) {
	if len(frame) < 8 {
		return h, nil, fmt.Errorf("request header of %d bytes: %w", len(frame), errShort)
	}
	h.Key = int16(binary.BigEndian.Uint16(frame[0:]))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	r := reader{b: frame[8:]}
	if h.Key == keyControlledShutdown && h.Version == 0 { // the only request with header v0
		return h, r.b, nil
	}
	// The client id is not compact in header v2 either, so that every broker can read it (KIP-482).
	h.ClientID = string(r.bytes(int(r.int16())))
	s := schemaOf(h.Key)
	if s.flexible(h.Version) {
		r.tags()
	}
	if r.bad {
		return h, nil, fmt.Errorf("header of a %v request: %w", h, errShort)
	}
	if !s.known {
		return h, r.b, ErrUnknownKey
	}
	return h, r.b, nil
}

// AppendResponse appends the frame (without length bytes) that answers the request with that
// correlation id: a header and the body at resp.GetVersion().
func AppendResponse(dst []byte, correlationID int32, resp kmsg.Response) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if responseHasTags(resp) {
		dst = append(dst, 0)
	}
	return resp.AppendTo(dst)
}

// responseHasTags reports whether the response has header v1. That of ApiVersions never has: a
// client reads it before it knows what the broker can do (KIP-511).
func responseHasTags(resp kmsg.Response) bool {
	return resp.IsFlexible() && resp.Key() != keyAPIVersions
}

// AppendRequest appends a request frame (without length bytes) at req.GetVersion(). It is for
// clients.
func AppendRequest(dst []byte, correlationID int32, clientID string, req kmsg.Request) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(req.Key()))
	dst = binary.BigEndian.AppendUint16(dst, uint16(req.GetVersion()))
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if req.Key() != keyControlledShutdown || req.GetVersion() != 0 {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(clientID)))
		dst = append(dst, clientID...)
		if req.IsFlexible() {
			dst = append(dst, 0)
		}
	}
	return req.AppendTo(dst)
}

// ParseResponse parses a response frame (without length bytes) into resp, whose version must be
// that of the request, and returns the correlation id. It is for clients and trusts the broker: a
// body that ends too early is an error, but its counts are not bounded.
//
// An ApiVersions response that says UNSUPPORTED_VERSION comes in the form of version 0, whatever
// was asked; then resp's version is set to 0.
func ParseResponse(frame []byte, resp kmsg.Response) (correlationID int32, err error) {
	r := reader{b: frame}
	correlationID = r.int32()
	if responseHasTags(resp) {
		r.tags()
	}
	if r.bad {
		return 0, fmt.Errorf("header of a %s response: %w", kmsg.NameForKey(resp.Key()), errShort)
	}
	if resp.Key() == keyAPIVersions && len(r.b) >= 2 && binary.BigEndian.Uint16(r.b) == 35 {
		resp.SetVersion(0)
	}
	if err := resp.ReadFrom(r.b); err != nil {
		return correlationID, fmt.Errorf("body of a %s v%d response: %w", kmsg.NameForKey(resp.Key()), resp.GetVersion(), err)
	}
	return correlationID, nil
}
