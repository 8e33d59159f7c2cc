// Daemon is a small buildkit daemon with the guard in it, made of upstream's
// public packages: one worker with runc, the frontends of buildkitd, and build
// cache in registries, in directories and in images. It runs as root on Linux:
//
//	daemon -root /var/lib/example -socket /run/example.sock
//	buildctl --addr unix:///run/example.sock build ...
//
// docs/embedding.md explains it.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

func main() {
	var o options
	flag.StringVar(&o.root, "root", "/var/lib/bkguard-example", "directory for the state of the daemon")
	flag.StringVar(&o.socket, "socket", "/run/bkguard-example.sock", "socket to listen on")
	flag.StringVar(&o.cgroupParent, "cgroup-parent", "bkguard-example", "cgroup for the containers of builds")
	file := flag.String("config", "", "file with a [guard] table; without one, the defaults hold")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, *file)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "daemon:", err)
		os.Exit(1)
	}
}

// options say where a daemon has its parts.
type options struct {
	root, socket, cgroupParent string
}

// run serves until the context ends.
func run(ctx context.Context, o options, configFile string) error {
	c, err := config.LoadFile(configFile)
	if err != nil {
		return err
	}
	g, err := guard.New(c)
	if err != nil {
		return err
	}
	defer g.Close()

	controller, err := newController(ctx, o, g)
	if err != nil {
		return err
	}
	defer controller.Close()

	// A daemon that was killed leaves its socket behind.
	if err := os.RemoveAll(o.socket); err != nil {
		return err
	}
	listener, err := net.Listen("unix", o.socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(grpcerrors.UnaryServerInterceptor),
		grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
	)
	controller.Register(server)
	defer context.AfterFunc(ctx, server.Stop)()
	return server.Serve(listener)
}
