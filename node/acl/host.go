// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"fmt"
	"strconv"
	"strings"
)

// Host spells an address as Kafka does, of which rules are compared with the addresses of clients: in Kafka a rule for "::1"
// is one for nobody, here it is the rule for 0:0:0:0:0:0:0:1. What is no address of IPv6 stays as it is.
func Host(host string) string {
	address, zone, zoned := strings.Cut(host, "%")
	groups, ok := parseGroups(address)
	if !ok {
		return host
	}
	if [6]uint16(groups[:6]) == [6]uint16{5: 0xffff} { // an address of IPv4 in the other form
		return fmt.Sprintf("%d.%d.%d.%d", groups[6]>>8, groups[6]&0xff, groups[7]>>8, groups[7]&0xff)
	}
	text := make([]byte, 0, 40)
	for _, g := range groups {
		text = strconv.AppendUint(append(text, ':'), uint64(g), 16)
	}
	if zoned {
		text = append(append(text, '%'), zone...)
	}
	return string(text[1:])
}

// IsAddress reports whether a text is an address, of IPv4 or IPv6.
func IsAddress(text string) bool {
	if _, ok := parseGroups("::" + text); ok && !strings.Contains(text, ":") {
		return strings.Contains(text, ".")
	}
	address, _, _ := strings.Cut(text, "%")
	_, ok := parseGroups(address)
	return ok
}

// parseGroups takes an address of IPv6 apart; false if it is none.
func parseGroups(address string) (groups [8]uint16, ok bool) {
	head, tail, gap := strings.Cut(address, "::")
	if !strings.Contains(address, ":") || strings.Contains(tail, "::") {
		return groups, false
	}
	first, ok1 := parseList(head)
	last, ok2 := parseList(tail)
	n := len(first) + len(last)
	if !ok1 || !ok2 || gap && n > 7 || !gap && n != 8 {
		return groups, false
	}
	copy(groups[:], first)
	copy(groups[8-len(last):], last)
	return groups, true
}

// parseList parses numbers between colons, the last of which may be an address of IPv4.
func parseList(s string) (list []uint16, ok bool) {
	if s == "" {
		return nil, true
	}
	for part := range strings.SplitSeq(s, ":") {
		if strings.Contains(part, ".") {
			var bytes [4]uint64
			four := strings.Split(part, ".")
			if len(four) != 4 || !strings.HasSuffix(s, part) {
				return nil, false
			}
			for i, b := range four {
				n, err := strconv.ParseUint(b, 10, 8)
				if err != nil {
					return nil, false
				}
				bytes[i] = n
			}
			list = append(list, uint16(bytes[0]<<8|bytes[1]), uint16(bytes[2]<<8|bytes[3]))
			continue
		}
		n, err := strconv.ParseUint(part, 16, 16)
		if err != nil || len(part) > 4 {
			return nil, false
		}
		list = append(list, uint16(n))
	}
	return list, len(list) <= 8
}
