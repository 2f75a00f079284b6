// SPDX-License-Identifier: Apache-2.0

// Package console shows a cluster to people in a browser and does what they ask for. It is a Kafka client like any other, within
// the process of a broker, for the person whom the broker has let in: rights, quotas and the log of changes are those of the brokers
// that it asks. It keeps nothing but connections, and no secret reaches a page (ADR 23).
//
// The page is in web/: HTML, CSS and ES modules as the browser gets them. What it asks for is answered here as JSON:
//
//	cluster.go  the cluster on one screen, and what brokers tell of themselves
//	topics.go   topics, partitions, configurations
//	records.go  records
//	groups.go   consumer groups and their lag
//	access.go   users, rules, quotas, transactions
//	change*.go  what changes something
package console

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Cluster is how the console gets at brokers.
type Cluster interface {
	// Dial connects a person to the broker that Kafka clients are told to find at an address. Nobody is asked for a login there.
	Dial(ctx context.Context, who Person, addr string) (net.Conn, error)
	// Page is what a broker tells about itself, as JSON, or a Refusal.
	Page(ctx context.Context, who Person, broker int32, name string) ([]byte, error)
}

// Person is who looks at the console, and from where.
type Person struct{ Principal, Host string }

// Door tells who sends a request; it answers those itself that it doesn't let in.
type Door func(w http.ResponseWriter, r *http.Request) (who Person, in bool)

// Refusal is an answer that is no page.
type Refusal struct {
	Status int
	Text   string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

//go:embed web
var web embed.FS

const (
	// answerTime bounds all that an answer may take.
	answerTime = 20 * time.Second
	// maxBody bounds what a browser sends.
	maxBody = 1 << 20
)

// policy lets the page load what this broker serves, and nothing else from anywhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Console serves the page.
type Console struct {
	clients clients
}

// New returns a console that finds the first broker at the address seed.
func New(cluster Cluster, seed string) *Console {
	return &Console{clients: clients{cluster: cluster, seed: seed, open: make(map[Person]*client)}}
}

// Close ends the connections to brokers.
func (c *Console) Close() { c.clients.close() }

// action answers one kind of request.
type action func(ctx context.Context, s *session, r *http.Request) (any, error)

// Handler serves /console/ to whom the door lets in.
func (c *Console) Handler(door Door) http.Handler {
	mux := http.NewServeMux()
	files, _ := fs.Sub(web, "web") // it is embedded
	mux.Handle("GET /console/", http.StripPrefix("/console", http.FileServerFS(files)))
	for path, do := range map[string]action{
		"GET /console/api/cluster": cluster, "GET /console/api/raft": raft, "GET /console/api/storage": storage,
		"GET /console/api/topics": topics, "GET /console/api/topic": topic, "GET /console/api/configs": configs, "GET /console/api/records": records,
		"GET /console/api/groups": groups, "GET /console/api/group": group,
		"GET /console/api/access": access, "GET /console/api/transactions": transactions,
		"POST /console/api/topics": createTopic, "POST /console/api/configs": alterConfigs,
		"POST /console/api/move": move, "POST /console/api/elect": elect,
		"POST /console/api/offsets/preview": previewOffsets, "POST /console/api/offsets": setOffsets,
	} {
		mux.Handle(path, c.answer(do))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
		} {
			w.Header().Set(name, value)
		}
		if who, in := door(w, r); in {
			mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), personKey{}, who)))
		}
	})
}

type personKey struct{}

// session is one request of a person.
type session struct {
	who     Person
	client  *client
	cluster Cluster
}

func (c *Console) answer(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && (err != nil || kind != "application/json") {
			fail(w, http.StatusUnsupportedMediaType, "send JSON, with Content-Type: application/json") // no form of another site can
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		who := r.Context().Value(personKey{}).(Person)
		ctx, cancel := context.WithTimeout(r.Context(), answerTime)
		defer cancel()
		client, err := c.clients.of(who)
		if err != nil {
			fail(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		defer c.clients.done(client)
		answer, err := do(ctx, &session{who, client, c.clients.cluster}, r)
		if err != nil {
			status, text := explain(err)
			fail(w, status, text)
			return
		}
		writeJSON(w, http.StatusOK, answer)
	})
}

func writeJSON(w http.ResponseWriter, status int, content any) {
	text, err := json.Marshal(content)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer can't be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(text)
}

func fail(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

// wrongAsk is what somebody asked for that can't be.
func wrongAsk(format string, args ...any) error {
	return &Refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// explain says what went wrong, for people.
func explain(err error) (status int, text string) {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Status, r.Text
	}
	code, ok := errors.AsType[*kerr.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, "no answer in time: a broker that is needed may be down, or has no leader to turn to"
	case !ok:
		return http.StatusBadGateway, err.Error()
	case lacksRight(code):
		return http.StatusForbidden, err.Error()
	}
	return http.StatusConflict, err.Error()
}

func lacksRight(err *kerr.Error) bool {
	for _, code := range []*kerr.Error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
	} {
		if err.Code == code.Code {
			return true
		}
	}
	return false
}

// failed is the error of a code in an answer, with what the broker says of it.
func failed(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil || message == nil || *message == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, *message)
}

// textOf is an error in a part of an answer; "" if there is none.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	_, text := explain(err)
	return text
}
