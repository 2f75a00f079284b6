// SPDX-License-Identifier: Apache-2.0

package host

import "testing"

func TestConnectionsFitTheDescriptors(t *testing.T) {
	for files, want := range map[uint64]int{1024: 768, 4096: 3584, 1 << 20: 10000} {
		var l Limits
		l.setDefaults()
		if l.fit(files, quiet()); l.Conns != want {
			t.Errorf("with %d descriptors %d clients are taken, want %d", files, l.Conns, want)
		}
	}
}
