// Command dockerfile is upstream's Dockerfile frontend with the middleware, as a
// frontend in a container.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/grpcclient"

	"github.com/bkguard/bkguard/frontend"
)

func main() {
	if err := grpcclient.RunFromEnvironment(context.Background(), frontend.Guard(builder.Build)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
