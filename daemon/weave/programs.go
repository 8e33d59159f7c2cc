package main

// program is a daemon of upstream that the guard is woven into.
type program struct {
	// seamImport is the package that the woven calls go to.
	seamImport string
	// files are those that are changed, by their paths below the vendored modules.
	files []file
}

// file is a source file of upstream, and the calls in it that the guard takes part in.
type file struct {
	path  string
	seams []seam
}

// seam is a call with one argument that the guard takes part in.
type seam struct {
	// call is the function that is called, as it is written.
	call string
	// argument is the argument as it is written; empty means any.
	argument string
	// times is how often the call must be there.
	times int
	// replace is the function to call instead; empty leaves the call as it is.
	replace string
	// wrap is the function that the argument is passed through; empty leaves
	// the argument as it is.
	wrap string
	// result is the function that the results of the call are passed through; empty
	// leaves them as they are.
	result string
}

// programs are all of them by their names.
var programs = map[string]program{
	"buildkitd": {
		seamImport: "github.com/bkguard/bkguard/daemon/seam",
		files: []file{{"github.com/moby/buildkit/cmd/buildkitd/main.go", []seam{
			{call: "config.LoadFile", argument: `c.String("config")`, times: 1, replace: "seam.LoadFile"},
			{call: "wc.Add", times: 1, wrap: "seam.Worker"},
			{call: "control.NewController", times: 1, wrap: "seam.Control"},
		}}},
	},
	// The engine has a builder for each of its image stores.
	"dockerd": {
		seamImport: "github.com/bkguard/bkguard/engine/seam",
		files: []file{
			{"github.com/moby/moby/v2/daemon/command/daemon.go", []seam{
				{call: "loadDaemonCliConfig", times: 1, result: "seam.Config"},
			}},
			{"github.com/moby/moby/v2/daemon/internal/builder-next/controller.go", []seam{
				{call: "wc.Add", times: 2, wrap: "seam.Worker"},
				{call: "control.NewController", times: 2, wrap: "seam.Control"},
			}},
		},
	},
}
