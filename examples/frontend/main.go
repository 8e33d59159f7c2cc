// Command frontend is a complete frontend of buildkit with a syntax of its own,
// and the guard's middleware in it. A recipe is a file such as
//
//	# one step a line
//	base registry.example.com/alpine:latest
//	copy hello.txt /hello.txt
//	run /bin/touch /made
//
// Without an argument the program is a frontend in a container, which gateway.v0
// has started:
//
//	buildctl build --frontend gateway.v0 --opt source=IMAGE --opt filename=Recipe \
//		--local context=. --local dockerfile=.
//
// With an address, it is the client of that daemon and its own frontend:
//
//	frontend -addr unix:///run/buildkit/buildkitd.sock -output IMAGE DIR
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/gateway/grpcclient"
	"github.com/moby/buildkit/util/appcontext"

	"github.com/bkguard/bkguard/frontend"
)

func main() {
	if err := run(appcontext.Context(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "frontend:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("frontend", flag.ContinueOnError)
	addr := flags.String("addr", "", "the `ADDRESS` of a daemon to build on")
	output := flags.String("output", "", "push the result as `IMAGE`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	guarded := frontend.Guard(build)
	if *addr == "" {
		return grpcclient.RunFromEnvironment(ctx, guarded)
	}
	if flags.NArg() != 1 {
		return errors.New("give the directory of the recipe")
	}
	return buildOn(ctx, *addr, *output, flags.Arg(0), guarded)
}
