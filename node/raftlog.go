// SPDX-License-Identifier: Apache-2.0

package node

import "fmt"

// raftLogger keeps raft silent, since Events report what matters. Its Panic and Fatal must panic, because raft
// relies on it that they don't return.
type raftLogger struct{}

func (raftLogger) Debug(...any)            {}
func (raftLogger) Debugf(string, ...any)   {}
func (raftLogger) Error(...any)            {}
func (raftLogger) Errorf(string, ...any)   {}
func (raftLogger) Info(...any)             {}
func (raftLogger) Infof(string, ...any)    {}
func (raftLogger) Warning(...any)          {}
func (raftLogger) Warningf(string, ...any) {}

func (raftLogger) Fatal(v ...any)                 { panic("raft: " + fmt.Sprint(v...)) }
func (raftLogger) Fatalf(format string, v ...any) { panic("raft: " + fmt.Sprintf(format, v...)) }
func (raftLogger) Panic(v ...any)                 { panic("raft: " + fmt.Sprint(v...)) }
func (raftLogger) Panicf(format string, v ...any) { panic("raft: " + fmt.Sprintf(format, v...)) }
