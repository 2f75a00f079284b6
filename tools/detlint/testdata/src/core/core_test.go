// SPDX-License-Identifier: Apache-2.0

package core

import "time"

var _ = time.Now // tests may do what they like
