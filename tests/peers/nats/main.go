// SPDX-License-Identifier: Apache-2.0

// Command nats is NATS JetStream for `bench compare`: a server of a cluster, and a load like those of bench, in a module of its
// own so that the product doesn't depend on it.
//
//	nats serve -id 1 -dir DIR -port 4222 -peers 4322,4323,4324 [-sync-always]
//	nats load -url nats://127.0.0.1:4222 -clients 128 -async 1 -size 256 -warmup 2s -duration 8s -server-pids 1,2,3
//
// load prints what bench writes with --json-output, as far as compare reads it. It fails if an acknowledged message can't be
// read back exactly once.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 {
		fail(fmt.Errorf("say serve or load"))
	}
	switch os.Args[1] {
	case "serve":
		fail(serve(ctx, os.Args[2:]))
	case "load":
		fail(runLoad(ctx, os.Args[2:]))
	case "version":
		fmt.Println(server.VERSION)
	default:
		fail(fmt.Errorf("%q: say serve, load or version", os.Args[1]))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
}

// serve runs one server until it is told to stop.
func serve(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("serve", flag.ExitOnError)
	id := fs.Int("id", 1, "which of the servers, from 1")
	dir := fs.String("dir", "", "its folder")
	port := fs.Int("port", 0, "for clients")
	peers := fs.String("peers", "", "`PORT,...` for the other servers, of all of them")
	always := fs.Bool("sync-always", false, "sync each write before it is answered (sync_interval: always); by default every two minutes")
	fs.Parse(args)
	o := &server.Options{
		ServerName: fmt.Sprintf("n%d", *id), Host: "127.0.0.1", Port: *port, JetStream: true, StoreDir: *dir,
		Cluster: server.ClusterOpts{Name: "peer", Host: "127.0.0.1"}, SyncAlways: *always, NoSigs: true,
	}
	var routes []string
	for i, p := range strings.Split(*peers, ",") {
		n, err := strconv.Atoi(p)
		if err != nil {
			return err
		}
		if routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", n)); i == *id-1 {
			o.Cluster.Port = n
		}
	}
	o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("not ready after 20 s")
	}
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
