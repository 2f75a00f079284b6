// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrUnknownKey says that a request's key is not known here. There is no answer that its sender could
// parse, so close the connection, as Kafka does.
var ErrUnknownKey = errors.New("unknown request key")

// Error is a failure with the error code that tells a client about it (the protocol's error_code)
// and a text for people.
type Error struct {
	Code int16
	Text string
}

// Errorf returns an *Error with the code of k and a text that says what happened and what to do.
func Errorf(k *kerr.Error, format string, args ...any) *Error {
	return &Error{Code: k.Code, Text: fmt.Sprintf(format, args...)}
}

// Error returns the code's name in the protocol, then the text.
func (e *Error) Error() string { return CodeName(e.Code) + ": " + e.Text }

// Code returns the error code to answer for err: 0 for nil, the code of an *Error or a *kerr.Error
// inside it, else UNKNOWN_SERVER_ERROR. It never answers success for a failure.
func Code(err error) int16 {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code != 0 {
		return e.Code
	}
	if e, ok := errors.AsType[*kerr.Error](err); ok && e.Code != 0 {
		return e.Code
	}
	return kerr.UnknownServerError.Code
}

// CodeName returns the name of an error code in the protocol, e.g. NOT_LEADER_FOR_PARTITION, or
// NONE for 0.
func CodeName(code int16) string {
	e := kerr.TypedErrorForCode(code)
	switch {
	case e == nil:
		return "NONE"
	case e.Code != code: // kerr answers UNKNOWN_SERVER_ERROR for codes that it doesn't know
		return fmt.Sprintf("ERROR_%d", code)
	default:
		return e.Message
	}
}
