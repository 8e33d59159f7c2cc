// Command ghacache serves the cache API of GitHub Actions on loopback, from a
// directory, until it is told to stop. The server is nektos/act's.
//
//	ghacache DIRECTORY
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/nektos/act/pkg/artifactcache"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ghacache:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: ghacache DIRECTORY")
	}
	handler, err := artifactcache.StartHandler(args[0], "", "127.0.0.1", 0, nil)
	if err != nil {
		return fmt.Errorf("serve %s: %w", args[0], err)
	}
	fmt.Println("listening on", handler.ExternalURL())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return handler.Close()
}
