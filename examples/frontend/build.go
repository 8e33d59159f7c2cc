package main

import (
	"context"
	"encoding/json"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerui"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// build is the frontend: it reads the recipe and solves it for each platform.
// What all frontends have in common, such as options and contexts, is left to
// upstream's dockerui.
func build(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
	ui, err := dockerui.NewClient(c)
	if err != nil {
		return nil, err
	}
	file, err := ui.ReadEntrypoint(ctx, "Recipe")
	if err != nil {
		return nil, err
	}
	r, err := parse(file.Data)
	if err != nil {
		return nil, err
	}
	files, err := ui.MainContext(ctx)
	if err != nil {
		return nil, err
	}
	built, err := ui.Build(ctx, func(ctx context.Context, platform *ocispecs.Platform, _ int) (*dockerui.BuildResult, error) {
		if platform == nil {
			platform = &ui.BuildPlatforms[0]
		}
		state, image, err := r.solve(ctx, c, *files, *platform)
		if err != nil {
			return nil, err
		}
		def, err := state.Marshal(ctx)
		if err != nil {
			return nil, err
		}
		result, err := c.Solve(ctx, gwclient.SolveRequest{Definition: def.ToPB(), CacheImports: ui.CacheImports})
		if err != nil {
			return nil, err
		}
		ref, err := result.SingleRef()
		if err != nil {
			return nil, err
		}
		return &dockerui.BuildResult{Reference: ref, Image: image}, nil
	})
	if err != nil {
		return nil, err
	}
	return built.Finalize()
}

// solve turns the recipe into LLB, with the configuration that the image will
// have.
func (r recipe) solve(ctx context.Context, c gwclient.Client, files llb.State, platform ocispecs.Platform) (llb.State, *dockerspec.DockerOCIImage, error) {
	state, image, err := base(ctx, c, r.base, platform)
	if err != nil {
		return llb.State{}, nil, err
	}
	for _, s := range r.steps {
		name := llb.WithCustomName("[recipe] " + s.line)
		if s.run != nil {
			state = state.Run(llb.Args(s.run), name).Root()
			continue
		}
		state = state.File(llb.Copy(files, s.src, s.dst, &llb.CopyInfo{CreateDestPath: true, AllowWildcard: true}), name)
	}
	return state, image, nil
}

// base finds the image that a recipe begins with, and pins it to its digest.
func base(ctx context.Context, c gwclient.Client, name string, platform ocispecs.Platform) (llb.State, *dockerspec.DockerOCIImage, error) {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return llb.State{}, nil, err
	}
	resolved, dgst, config, err := c.ResolveImageConfig(ctx, reference.TagNameOnly(ref).String(), sourceresolver.Opt{
		LogName:  "[internal] load metadata for " + name,
		ImageOpt: &sourceresolver.ResolveImageOpt{Platform: &platform},
	})
	if err != nil {
		return llb.State{}, nil, err
	}
	if ref, err = reference.ParseNormalizedNamed(resolved); err != nil {
		return llb.State{}, nil, err
	}
	if ref, err = reference.WithDigest(ref, dgst); err != nil {
		return llb.State{}, nil, err
	}
	image := &dockerspec.DockerOCIImage{}
	if err := json.Unmarshal(config, image); err != nil {
		return llb.State{}, nil, err
	}
	state, err := llb.Image(ref.String(), llb.Platform(platform), llb.WithCustomName("[recipe] base "+name)).WithImageConfig(config)
	return state, image, err
}
