package harness

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Build is one buildctl build.
type Build struct {
	// Frontend is the one to use; empty means dockerfile.v0, which is part of the
	// daemon. gateway.v0 takes the image of another from an Opt "source=...".
	Frontend string
	// Dockerfile is the text of the file.
	Dockerfile string
	// Files is the build context: path to content.
	Files map[string]string
	// Output is the value of --output; see PushOutput. Empty discards the
	// result.
	Output string
	// ExportCache and ImportCache are values of --export-cache and
	// --import-cache.
	ExportCache, ImportCache []string
	// Opts are values of --opt, such as "platform=linux/amd64".
	Opts []string
	// Progress receives the plain progress while the build runs; nil discards
	// it.
	Progress io.Writer
}

// BuildResult is what a successful build has printed.
type BuildResult struct {
	// Output is the plain progress.
	Output string
	// Steps counts the RUN, COPY and ADD steps, Cached those of them that were
	// not executed.
	Steps, Cached int
}

// BuildError is returned for a build that failed.
type BuildError struct {
	// Err is how the client ended.
	Err error
	// Output is all that it has printed.
	Output string
}

// Error returns the last lines of the output, where the client says why.
func (e *BuildError) Error() string {
	lines := strings.Split(strings.TrimSpace(e.Output), "\n")
	return fmt.Sprintf("build: %v: %s", e.Err, strings.Join(lines[max(0, len(lines)-3):], "; "))
}

// Unwrap returns how the client ended.
func (e *BuildError) Unwrap() error { return e.Err }

// PushOutput is an --output that pushes an OCI image. More attributes, such as
// "compression=zstd", are added as they are.
func PushOutput(image string, attributes ...string) string {
	return strings.Join(append([]string{"type=image", "name=" + image, "push=true", "oci-mediatypes=true"}, attributes...), ",")
}

// RunSteps is a Dockerfile with so many RUN steps on a base image.
func RunSteps(base string, steps int) string {
	text := "FROM " + base + "\n"
	for n := range steps {
		text += fmt.Sprintf("RUN [\"/bin/step\", \"/run-%d\", \"%d\"]\n", n+1, n+1)
	}
	return text
}

// WithoutNetwork is a Dockerfile whose RUN steps have no network, which an [Engine] has none
// of to give.
func WithoutNetwork(dockerfile string) string {
	return strings.ReplaceAll(dockerfile, "RUN [", "RUN --network=none [")
}

// LargeSteps is a Dockerfile with so many RUN steps on a base image, which has a
// LayerSize: each step makes a layer of that size.
func LargeSteps(base string, steps int) string {
	text := "FROM " + base + "\n"
	for n := range steps {
		text += fmt.Sprintf("RUN [\"/bin/step\", \"/run-%d\", \"%d\", \"/content/1\"]\n", n+1, n+1)
	}
	return text
}

// TwoStages is a build of two stages on a base image, with the merges and diffs
// that come of COPY --link. Its six steps make four layers of the image.
func TwoStages(base string) Build {
	return Build{
		Dockerfile: "FROM " + base + ` AS made
RUN ["/bin/step", "/a", "a"]
RUN ["/bin/step", "/b", "b"]
FROM ` + base + `
COPY --from=made /a /from/a
COPY --link --from=made /b /link/b
COPY --link c /link/c
RUN ["/bin/step", "/d", "d"]
`,
		Files: map[string]string{"c": "c"},
	}
}

// Build runs a build to its end. The error is a *BuildError when the client
// reports a failure.
func (d *Daemon) Build(ctx context.Context, b Build) (result BuildResult, err error) {
	err = withTempDir(func(dir string) error {
		if err := b.write(dir); err != nil {
			return fmt.Errorf("prepare a build: %w", err)
		}
		client := d.buildctl(b.args("plain", dir)...)
		client.Output = b.Progress
		out, err := Run(ctx, client)
		if err != nil {
			return &BuildError{Err: err, Output: out}
		}
		result = parseProgress(out)
		return nil
	})
	return result, err
}

// write makes the build context with the Dockerfile in it.
func (b Build) write(dir string) error {
	files := map[string]string{"Dockerfile": b.Dockerfile}
	maps.Copy(files, b.Files)
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// args is the command line of the client for a form of progress and a build
// context.
func (b Build) args(progress, dir string) []string {
	frontend := b.Frontend
	if frontend == "" {
		frontend = "dockerfile.v0"
	}
	args := []string{
		"build", "--progress", progress, "--frontend", frontend,
		"--local", "context=" + dir, "--local", "dockerfile=" + dir,
	}
	if b.Output != "" {
		args = append(args, "--output", b.Output)
	}
	for _, f := range []struct {
		flag   string
		values []string
	}{{"--export-cache", b.ExportCache}, {"--import-cache", b.ImportCache}, {"--opt", b.Opts}} {
		for _, value := range f.values {
			args = append(args, f.flag, value)
		}
	}
	return args
}

var (
	progressStep   = regexp.MustCompile(`(?m)^#(\d+) \[[^\]]*\] (?:RUN|COPY|ADD) `)
	progressCached = regexp.MustCompile(`(?m)^#(\d+) (?:CACHED$|sha256:[0-9a-f]{64} )`)
)

// parseProgress counts steps by their number: a step is announced as
// "#7 [stage 2/4] RUN ..." and "#7 CACHED" follows if it was not executed. If its layers are
// pulled soon after, "#7 sha256:..." may follow alone: only a result that came from a cache
// has layers to pull.
func parseProgress(out string) BuildResult {
	cached := map[string]bool{}
	for _, m := range progressStep.FindAllStringSubmatch(out, -1) {
		cached[m[1]] = false
	}
	for _, m := range progressCached.FindAllStringSubmatch(out, -1) {
		if _, ok := cached[m[1]]; ok {
			cached[m[1]] = true
		}
	}
	result := BuildResult{Output: out, Steps: len(cached)}
	for _, hit := range cached {
		if hit {
			result.Cached++
		}
	}
	return result
}
