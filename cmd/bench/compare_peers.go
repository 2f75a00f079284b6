// SPDX-License-Identifier: Apache-2.0

package main

// peer is something that is compared, three processes of it.
type peer struct{ name string }
