package frontend_test

import (
	"context"
	"log"

	"github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/grpcclient"

	"github.com/bkguard/bkguard/frontend"
)

// Upstream's Dockerfile frontend, for a fleet that builds in gzip, zstd and
// estargz.
func ExampleGuard() {
	guarded := frontend.Guard(builder.Build, frontend.WithCompressions(3))
	if err := grpcclient.RunFromEnvironment(context.Background(), guarded); err != nil {
		log.Fatal(err)
	}
}
