// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Requests byte by byte. Nobody should have to change them.
var (
	// ApiVersions v3, header v2: key 18, version 3, correlation id 7, client id "kcat" that isn't
	// compact, no tags; software name "kcat", version "1.7", no tags.
	literalAPIVersions = unhex("0012", "0003", "00000007", "0004", "6b636174", "00", "05", "6b636174", "04", "312e37", "00")
	// Metadata v1, header v1: correlation id 8, null client id; one topic "t".
	literalMetadata = unhex("0003", "0001", "00000008", "ffff", "00000001", "0001", "74")
	// Heartbeat v3: client id "", group "g", generation 1, member "m", no instance.
	literalHeartbeat = unhex("000c", "0003", "00000009", "0000", "0001", "67", "00000001", "0001", "6d", "ffff")

	requestSeeds = [][]byte{literalAPIVersions, literalMetadata, literalHeartbeat}
)

func TestParseRequestLiteral(t *testing.T) {
	h, body, err := ParseHeader(literalAPIVersions)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Header{18, 3, 7, "kcat"}, h); diff != "" {
		t.Error(diff)
	}
	req, err := ParseBody(h, body)
	if err != nil {
		t.Fatal(err)
	}
	if r := req.(*kmsg.ApiVersionsRequest); r.ClientSoftwareName != "kcat" || r.ClientSoftwareVersion != "1.7" {
		t.Errorf("%+v", r)
	}

	h, body, err = ParseHeader(literalMetadata)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Header{3, 1, 8, ""}, h); diff != "" {
		t.Error(diff)
	}
	if req, err = ParseBody(h, body); err != nil || *req.(*kmsg.MetadataRequest).Topics[0].Topic != "t" {
		t.Errorf("%+v, %v", req, err)
	}
}

func TestAppendRequestLiteral(t *testing.T) {
	av := kmsg.NewPtrApiVersionsRequest()
	av.Version, av.ClientSoftwareName, av.ClientSoftwareVersion = 3, "kcat", "1.7"
	if diff := cmp.Diff(hex.EncodeToString(literalAPIVersions), hex.EncodeToString(AppendRequest(nil, 7, "kcat", av))); diff != "" {
		t.Error(diff)
	}
	hb := kmsg.NewPtrHeartbeatRequest()
	hb.Version, hb.Group, hb.Generation, hb.MemberID = 3, "g", 1, "m"
	if diff := cmp.Diff(hex.EncodeToString(literalHeartbeat), hex.EncodeToString(AppendRequest(nil, 9, "", hb))); diff != "" {
		t.Error(diff)
	}
	sd := kmsg.NewPtrControlledShutdownRequest() // the one request with header v0
	sd.BrokerID = 5
	if got := hex.EncodeToString(AppendRequest(nil, 1, "ignored", sd)); got != "0007"+"0000"+"00000001"+"00000005" {
		t.Errorf("ControlledShutdown v0: %s", got)
	}
	if h, body, err := ParseHeader(AppendRequest(nil, 1, "ignored", sd)); err != nil || h.ClientID != "" || len(body) != 4 {
		t.Errorf("%+v, %x, %v", h, body, err)
	}
}

// ApiVersions answers with header v0 at every version; other flexible responses have tags.
func TestAppendResponseLiteral(t *testing.T) {
	av := kmsg.NewPtrApiVersionsResponse()
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MaxVersion = 18, 3
	av.ApiKeys = append(av.ApiKeys, k)
	av.Version = 3
	md := kmsg.NewPtrHeartbeatResponse()
	md.Version = 4
	old := kmsg.NewPtrHeartbeatResponse()
	old.Version = 3
	for _, c := range []struct {
		name string
		resp kmsg.Response
		want string
	}{
		{"ApiVersions v3", av, "00000007" + "0000" + "02" + "0012" + "0000" + "0003" + "00" + "00000000" + "00"},
		{"Heartbeat v4", md, "00000007" + "00" + "00000000" + "0000" + "00"},
		{"Heartbeat v3", old, "00000007" + "00000000" + "0000"},
	} {
		frame := AppendResponse(nil, 7, c.resp)
		if diff := cmp.Diff(c.want, hex.EncodeToString(frame)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		back := c.resp.RequestKind().ResponseKind()
		back.SetVersion(c.resp.GetVersion())
		if id, err := ParseResponse(frame, back); err != nil || id != 7 {
			t.Errorf("%s: %d, %v", c.name, id, err)
		}
		if diff := cmp.Diff(c.want, hex.EncodeToString(AppendResponse(nil, 7, back))); diff != "" {
			t.Errorf("%s comes back different: %s", c.name, diff)
		}
	}
}

// A client that asks for too new an ApiVersions is answered at version 0, and understands.
func TestParseApiVersionsOfOldBroker(t *testing.T) {
	answer := kmsg.NewPtrApiVersionsResponse()
	answer.ErrorCode = 35
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MaxVersion = 18, 3
	answer.ApiKeys = append(answer.ApiKeys, k)
	got := kmsg.NewPtrApiVersionsResponse()
	got.Version = 4
	if _, err := ParseResponse(AppendResponse(nil, 1, answer), got); err != nil {
		t.Fatal(err)
	}
	if got.Version != 0 || got.ErrorCode != 35 || len(got.ApiKeys) != 1 || got.ApiKeys[0].MaxVersion != 3 {
		t.Errorf("%+v", got)
	}
}

// The header of an ApiVersions request is parsed at any version: it has to be answered (KIP-511).
func TestParseHeaderOfFutureVersion(t *testing.T) {
	frame := append(unhex("0012", "0063", "00000007", "0001", "63", "00"), 0xde, 0xad)
	h, body, err := ParseHeader(frame)
	if err != nil || h.Version != 99 || h.CorrelationID != 7 || len(body) != 2 {
		t.Errorf("%+v, %x, %v", h, body, err)
	}
}

func TestParseHeaderRefuses(t *testing.T) {
	for n := range literalAPIVersions[:15] {
		if _, _, err := ParseHeader(literalAPIVersions[:n]); err == nil || !strings.Contains(err.Error(), "ends too early") {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	for _, key := range []string{"ffff", "03e8"} {
		h, _, err := ParseHeader(unhex(key, "0000", "00000007", "ffff"))
		if !errors.Is(err, ErrUnknownKey) || h.CorrelationID != 7 {
			t.Errorf("key %s: %+v, %v", key, h, err)
		}
	}
}

func TestParseResponseRefuses(t *testing.T) {
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.Version = 4
	frame := AppendResponse(nil, 7, resp)
	for n := range frame {
		if _, err := ParseResponse(frame[:n], resp); err == nil {
			t.Errorf("the first %d of %d bytes are accepted", n, len(frame))
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	for _, seed := range requestSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseHeader(frame)
		if err == nil && len(body) > len(frame)-8 {
			t.Errorf("%v: body of %d bytes in a frame of %d", h, len(body), len(frame))
		}
	})
}

func TestFrameLen(t *testing.T) {
	for _, c := range []struct {
		head string
		n    int
		text string // of the error
	}{
		{"00000004", 4, ""},
		{"00000400", 1024, ""},
		{"00000401", 0, "frame of 1025 bytes is over the limit of 1024"},
		{"00000003", 0, "too short"},
		{"00000000", 0, "too short"},
		{"ffffffff", 0, "negative"},
		{"47455420", 0, `"GET " are no Kafka frame but look like HTTP`},
		{"504f5354", 0, "HTTP"},
		{"16030100", 0, "look like TLS"},
	} {
		n, err := FrameLen([4]byte(unhex(c.head)), 1024)
		if n != c.n || (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %d, %v", c.head, n, err)
		}
	}
	if n, err := FrameLen([4]byte{0x06, 0x40, 0, 0}, MaxFrameBytes); n != MaxFrameBytes || err != nil {
		t.Errorf("the limit itself: %d, %v", n, err)
	}
}
