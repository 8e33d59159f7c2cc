# bkguard. `make help` lists the targets.

GUARD_VERSION := $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' guard/guard.go)
BUILDKIT_VERSION := $(shell sed -n 's|.*github.com/moby/buildkit \(v[^ ]*\).*|\1|p' daemon/go.mod)

ENGINE_VERSION := $(shell sed -n 's|.*github.com/moby/moby/v2 v\([^ ]*\).*|\1|p' engine/go.mod)

# The commit that is built, ".m" behind it if files are not as they are there, as upstream's
# releases have it; empty outside of a checkout.
COMMIT := $(shell test -e .git && git rev-parse HEAD 2>/dev/null | cut -c 1-12)
REVISION ?= $(if $(COMMIT),$(COMMIT)$(shell git diff --quiet HEAD || echo .m))
REVISION := $(REVISION)

VENDORED := ./vendor/github.com/moby/buildkit
VENDORED_ENGINE := ./vendor/github.com/moby/moby/v2
# Upstream's version stays what it is: clients and registries read it in the
# User-Agent. The revision says that the guard is in it, and which.
GUARD := bkguard-$(GUARD_VERSION)$(addprefix -,$(REVISION))
LINK_REVISION := -X github.com/bkguard/bkguard/guard.Revision=$(REVISION)
LINK := -X github.com/moby/buildkit/version.Version=$(BUILDKIT_VERSION)
LINK_GUARDED := $(LINK) $(LINK_REVISION) -X github.com/moby/buildkit/version.Revision=$(GUARD)
# The engine has a version and a revision of its own.
ENGINE_PACKAGE := github.com/moby/moby/v2/dockerversion
LINK_ENGINE := -X $(ENGINE_PACKAGE).Version=$(ENGINE_VERSION)
LINK_ENGINE_GUARDED := $(LINK_ENGINE) $(LINK_REVISION) -X $(ENGINE_PACKAGE).GitCommit=$(GUARD)
LIBRARY := $(shell find config cost guard internal upstream -name '*.go' -not -name '*_test.go')
SEAM := $(wildcard daemon/seam/*.go daemon/weave/*.go)
ENGINE_SEAM := $(wildcard engine/seam/*.go daemon/weave/*.go)
PROGRAMS := bin/buildkitd bin/buildctl bin/bkguard
# What the demonstration needs, and with bkguard what all tests do.
DEMONSTRATED := bin/buildkitd bin/buildctl bin/buildkitd-stock bin/tools/registry
PARTS := $(DEMONSTRATED) bin/bkguard
# What the Docker Engine needs.
ENGINES := bin/dockerd bin/dockerd-stock bin/tools/containerd bin/tools/buildx bin/tools/ghacache
# What the blocks of docs/install.md need beside the engine.
INSTALLERS := bin/tools/docker bin/tools/kustomize bin/tools/kubecheck bin/tools/actionlint bin/tools/gitlabci
# What only the tests need.
TOOLS := bin/tools/buildkitd-race bin/tools/example-daemon bin/tools/ghacache bin/tools/containerd bin/tools/toxiproxy bin/tools/buildx bin/tools/versitygw bin/tools/azurite \
	bin/tools/actionlint bin/tools/kustomize bin/tools/kubecheck bin/tools/promtool bin/tools/grafana

# What debuggers read is a seventh of the compiler's work, and no release has it: for a
# debugger, make DEBUGGED= bin/buildkitd.
DEBUGGED ?= -gcflags=all=-dwarf=false
# Packages compiled without their paths serve every module here: the vendored
# daemon, the tests and the linter have most of theirs in common, and so have the tools
# where they have the same version (tools/align.sh).
export GOFLAGS := $(strip $(GOFLAGS) -trimpath $(DEBUGGED))
# Programs are static, as upstream's releases are: they run on any distribution. The race
# detector needs C, and so do btrfs and the quotas of the Docker Engine.
export CGO_ENABLED := 0

# The compiler collects its garbage less often than other programs should.
COMPILE := GOGC=400
# Links and downloads leave a core idle: what has little in common is built two at a time.
TOGETHER := $(COMPILE) $(MAKE) --no-print-directory -j2

.PHONY: all
all: $(PROGRAMS) ## build bin/buildkitd, with the guard in it, bin/buildctl and bin/bkguard

.PHONY: dockerd
dockerd: bin/dockerd ## build bin/dockerd, the Docker Engine with the guard in it

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Stock is the guarded daemon but for its main: what both have in common is not compiled
# twice at the same time.
.PHONY: demonstrated
demonstrated:
	+$(TOGETHER) runc bin/buildkitd bin/tools/registry
	+$(TOGETHER) $(DEMONSTRATED)

.PHONY: demo
demo: demonstrated ## play moby/buildkit issue 6088 on stock and on guarded buildkitd
	go run ./test/demo

.PHONY: demo-docker
demo-docker: demonstrated ## play the same on stock and on guarded Docker Engines
	+$(TOGETHER) $(ENGINES)
	go run ./test/demo -docker

# The tests of packages sync small files thousands of times, which would mostly wait for the
# disk: their files are in memory. What go compiles is large, and stays on the disk.
IN_MEMORY = unshare --mount sh -c 'mount -t tmpfs tmpfs /dev/shm && exec env GOTMPDIR=$${TMPDIR:-/tmp} TMPDIR=/dev/shm "$$@"' sh

# In ./test and ./test/demo, what is tested runs in other processes: daemons, of which some
# have the race detector in them. It would only make the base images of the tests slow. These
# processes also wait, for each other and for the disk, so that more of them run than there
# are CPUs. Files in memory would count in the limits that daemons have there.
#
# Some packages wait for a clock: one more than there are CPUs is tested at the same time.
#
# The linter has vetted all by then. No debugger reads these programs, which link faster
# without what it would look for. GOGC is for the compiler, and not for what is tested.
GO_TEST = $(COMPILE) go test -exec 'env -u GOGC' -vet=off -ldflags=-w -count=1
.PHONY: test
test: systemd-analyze ## run the linter and every test
	+$(TOGETHER) lint-daemon
	+$(MAKE) --no-print-directory demonstrated
	+$(TOGETHER) bin/bkguard $(TOOLS)
	CGO_ENABLED=1 $(IN_MEMORY) $(GO_TEST) -p $$(($$(nproc) + 1)) -race $$(go list ./... | grep -v -E '/test(/(compat|demo|docker|dist|install))?$$')
	$(GO_TEST) -timeout 40m -parallel 4 ./test ./test/demo
	cd daemon && CGO_ENABLED=1 $(GO_TEST) -race ./seam/... ./weave/... ./uploads/...

.PHONY: test-docker
test-docker: $(PARTS) runc systemd-analyze tini-static ## run the linter and the tests of the Docker Engine, and every block of docs/install.md
	+$(TOGETHER) lint-engine $(ENGINES) $(INSTALLERS)
	$(GO_TEST) -timeout 30m ./test/docker
	$(GO_TEST) ./test/install
	cd engine && CGO_ENABLED=1 $(GO_TEST) -race ./seam/...

.PHONY: test-dist
test-dist: bin/tools/nfpm bin/tools/cyclonedx-gomod daemon/vendor/modules.txt dpkg rpm mandoc runc ## make a release twice, install it and run it; compile with the oldest promised buildkit
	$(GO_TEST) -timeout 30m ./test/compat ./test/dist

.PHONY: matrix
matrix: $(PARTS) bin/tools/versitygw bin/tools/azurite runc ## test every kind of cache export beside stock, for half an hour; writes docs/matrix.md
	go test -count=1 -timeout 3h -parallel 4 -v -run '^TestMatrix$$' ./test -matrix $(CURDIR)/docs/matrix.md

.PHONY: conversions
conversions: $(PARTS) runc ## test every kind of conversion beside stock, for an hour or more; writes docs/conversions.md
	go test -count=1 -timeout 3h -v -run '^TestConversions' ./test -conversions $(CURDIR)/docs/conversions.md

.PHONY: identity
identity: $(PARTS) runc ## rebuild every kind of image from its cache beside stock, for most of an hour; writes docs/identity.md and its data
	go test -count=1 -timeout 3h -v -run '^TestRebuiltImageIsTheSame$$' ./test -identity $(CURDIR)/docs/identity.md

.PHONY: conformance
conformance: $(PARTS) bin/tools/ghacache bin/tools/containerd bin/tools/versitygw bin/tools/azurite runc busybox ## run upstream's own integration tests beside stock, for half an hour or more; writes docs/conformance.md
	go run ./test/conformance -parallel 4 -write docs/conformance.md

.PHONY: faults
faults: $(PARTS) bin/tools/toxiproxy runc ## inject every fault 20 times
	go test -count=1 -timeout 2h -parallel 4 -v -run '^TestFault' ./test -faults 20

# The race detector takes several times the memory: what holds limits of it is left out.
.PHONY: race
race: $(PARTS) $(TOOLS) runc systemd-analyze ## run the end-to-end tests with a daemon that has the race detector in it, for minutes
	go test -count=1 -timeout 1h -v -skip '^(TestConversionsSurvive|TestConversionsAtOnce|TestUploadsSurvive|TestModesInFigures)$$' ./test -guarded $(CURDIR)/bin/tools/buildkitd-race

.PHONY: soak
soak: $(PARTS) runc ## export 2,000 times beside stock, for about 25 minutes, and hold that the daemon stays as it is; writes docs/benchmarks/soak.csv
	go test -count=1 -timeout 2h -v -run '^TestSoak$$' ./test -soak $(CURDIR)/docs/benchmarks/soak.csv

.PHONY: bench
bench: daemon/vendor/modules.txt ## measure the guard beside upstream, without a daemon
	go test -run '^$$' -bench . -benchmem ./guard ./internal/...
	cd daemon && go test -run '^$$' -bench . -benchtime 1x ./uploads

.PHONY: bench-report
bench-report: $(PARTS) $(ENGINES) bin/tools/versitygw bin/tools/azurite runc ## measure guarded beside stock for most of an hour; writes docs/benchmarks.md and its plots
	go run ./test/report

FUZZTIME ?= 10m

# Each target that go test finds, until one has a finding. Inputs are not made
# smaller: for a large one that takes a minute, in which nothing new is tried.
.PHONY: fuzz
fuzz: daemon/vendor/modules.txt ## fuzz each target for FUZZTIME, 10m by default; stops with the finding
	@set -e; for module in '. ./...' 'daemon ./seam/... ./weave/... ./uploads/...'; do \
		set -- $$module; cd $(CURDIR)/$$1; shift; \
		found=$$(go test -list '^Fuzz' "$$@"); \
		echo "$$found" | awk '/^Fuzz/ { names = names " " $$1 } /^ok/ { print $$2 names; names = "" }' | \
		while read package targets; do for target in $$targets; do \
			echo "fuzzing $$target of $$package for $(FUZZTIME)"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
		done; done; \
	done

# The packages that export and import, and what they are configured with.
MUTATED := ./config ./cost ./frontend ./guard ./internal/...

.PHONY: mutants
mutants: ## change the code in one place at a time and see a test fail, for minutes; writes docs/mutants.md
	$(IN_MEMORY) go run ./test/mutants -write docs/mutants.md $(MUTATED)

.PHONY: compat
compat: $(PARTS) $(ENGINES) runc ## try other releases of buildkit and of the Docker Engine, for minutes each; writes docs/compat.md
	go run ./test/compat -write docs/compat.md

.PHONY: bump
bump: ## move to another release: make bump BUILDKIT=vX.Y.Z, or ENGINE=v2.Y.Z of the Docker Engine
	@if [ -n "$$ENGINE" ]; then tools/bump.sh engine "$$ENGINE"; else tools/bump.sh "$$BUILDKIT"; fi

# What a release is for. bkguard alone is for workstations, too.
PLATFORMS ?= linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64
RELEASED = $(foreach platform,$(PLATFORMS),$(addprefix bin/release/$(platform)/,bkguard $(if $(filter linux-%,$(platform)),buildkitd buildctl)))
# The time of all files in it, which is the commit's.
SOURCE_DATE_EPOCH ?= $(if $(COMMIT),$(shell git log -1 --format=%ct),0)

.PHONY: dist
dist: $(RELEASED) bin/tools/nfpm bin/tools/cyclonedx-gomod ## make a release in dist, archives and packages for PLATFORMS; minutes the first time
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) tools/dist.sh $(GUARD_VERSION) $(BUILDKIT_VERSION) $(PLATFORMS)

.PHONY: lint lint-daemon lint-engine
lint: lint-daemon lint-engine ## run golangci-lint
lint-daemon: bin/tools/golangci-lint daemon/vendor/modules.txt
	bin/tools/golangci-lint run ./...
	cd daemon && ../bin/tools/golangci-lint run ./seam/... ./weave/... ./uploads/...
	cd examples/daemon && ../../bin/tools/golangci-lint run ./...
lint-engine: bin/tools/golangci-lint engine/vendor/modules.txt
	cd engine && ../bin/tools/golangci-lint run ./seam/...

.PHONY: diff
diff: daemon/overlay/overlay.json engine/overlay/overlay.json ## show what differs from upstream's sources, of buildkitd and of dockerd
	@for pair in daemon/$(VENDORED)/cmd/buildkitd/main.go:daemon/overlay/main.go \
		engine/$(VENDORED_ENGINE)/daemon/command/daemon.go:engine/overlay/daemon.go \
		engine/$(VENDORED_ENGINE)/daemon/internal/builder-next/controller.go:engine/overlay/controller.go; do \
		diff -u "$${pair%%:*}" "$${pair#*:}"; test $$? -eq 1 || exit 2; \
	done

.PHONY: clean
clean: ## remove what was built; the caches of go stay
	rm -rf bin dist daemon/vendor daemon/overlay engine/vendor engine/overlay tools/promtool/upstream

# What only the distribution has: runc needs its libseccomp, npm its node.
.PHONY: runc npm systemd-analyze tini-static dpkg rpm mandoc busybox
runc npm dpkg rpm mandoc: PACKAGE = $@
systemd-analyze: PACKAGE = systemd
tini-static: PACKAGE = tini
busybox: PACKAGE = busybox-static
runc npm systemd-analyze tini-static dpkg rpm mandoc busybox:
	@command -v $@ >/dev/null || { \
		echo "installing $(PACKAGE)"; \
		if command -v apt-get >/dev/null; then apt-get update && apt-get install -y --no-install-recommends $(PACKAGE); \
		elif command -v dnf >/dev/null; then dnf install -y $(PACKAGE); \
		elif command -v apk >/dev/null; then apk add $(PACKAGE); \
		else echo "$@ is missing: install the $(PACKAGE) package of this distribution" >&2; exit 1; fi; }

daemon/vendor/modules.txt: go.mod daemon/go.mod daemon/go.sum $(LIBRARY)
	cd daemon && go mod vendor
	@touch $@

daemon/overlay/overlay.json: daemon/vendor/modules.txt $(SEAM)
	cd daemon && go run ./weave buildkitd vendor overlay

engine/vendor/modules.txt: go.mod engine/go.mod engine/go.sum $(LIBRARY)
	cd engine && go mod vendor
	@touch $@

engine/overlay/overlay.json: engine/vendor/modules.txt daemon/vendor/modules.txt $(ENGINE_SEAM)
	cd daemon && go run ./weave dockerd ../engine/vendor ../engine/overlay

bin/buildkitd: daemon/overlay/overlay.json
	@echo "building $@: about two minutes the first time"
	cd daemon && go build -overlay overlay/overlay.json -ldflags '$(LINK_GUARDED)' -o ../$@ $(VENDORED)/cmd/buildkitd

bin/buildkitd-stock: daemon/vendor/modules.txt
	@echo "building $@: upstream's, for comparison"
	cd daemon && go build -ldflags '$(LINK)' -o ../$@ $(VENDORED)/cmd/buildkitd

bin/dockerd: engine/overlay/overlay.json
	@echo "building $@: about two minutes the first time"
	cd engine && CGO_ENABLED=1 go build -overlay overlay/overlay.json -ldflags '$(LINK_ENGINE_GUARDED)' -o ../$@ $(VENDORED_ENGINE)/cmd/dockerd

bin/dockerd-stock: tools/dockerd/go.mod tools/dockerd/go.sum
	@echo "building $@: upstream's, for comparison"
	cd tools/dockerd && CGO_ENABLED=1 go build -ldflags '$(LINK_ENGINE)' -o ../../$@ github.com/moby/moby/v2/cmd/dockerd

# The guarded daemon with the race detector in it.
bin/tools/buildkitd-race: daemon/overlay/overlay.json
	@echo "building $@: about three minutes the first time"
	cd daemon && CGO_ENABLED=1 go build -race -overlay overlay/overlay.json -ldflags '$(LINK_GUARDED)' -o ../$@ $(VENDORED)/cmd/buildkitd

bin/buildctl: daemon/vendor/modules.txt
	@echo "building $@"
	cd daemon && go build -ldflags '$(LINK_GUARDED)' -o ../$@ $(VENDORED)/cmd/buildctl

bin/bkguard: go.mod go.sum $(LIBRARY) $(wildcard cmd/bkguard/*.go)
	@echo "building $@"
	go build -ldflags '$(LINK_REVISION)' -o $@ ./cmd/bkguard

# The programs of a release for a platform, such as linux-arm64. They are linked anew each
# time, as the commit is in them, and have no symbols for debuggers.
TARGET = GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(word 2,$(subst -, ,$*))
BUILD_RELEASE = go build -buildvcs=false -ldflags '-s -w $(LINK_GUARDED)'

bin/release/%/buildkitd: daemon/overlay/overlay.json FORCE
	@echo "building $@: about two minutes the first time"
	cd daemon && $(TARGET) $(BUILD_RELEASE) -overlay overlay/overlay.json -o ../$@ $(VENDORED)/cmd/buildkitd

bin/release/%/buildctl: daemon/vendor/modules.txt FORCE
	@echo "building $@"
	cd daemon && $(TARGET) $(BUILD_RELEASE) -o ../$@ $(VENDORED)/cmd/buildctl

bin/release/%/bkguard: FORCE
	@echo "building $@: about a minute the first time"
	$(TARGET) $(BUILD_RELEASE) -o $@ ./cmd/bkguard

.PHONY: FORCE
FORCE:

bin/tools/example-daemon: $(wildcard examples/daemon/*) $(LIBRARY)
	@echo "building $@: about a minute the first time"
	cd examples/daemon && go build -o ../../$@ .

bin/tools/registry: $(wildcard tools/registry/*)
	@echo "building $@: about half a minute the first time"
	cd tools/registry && go build -o ../../$@ .

bin/tools/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@echo "building $@: about three minutes the first time"
	cd tools/lint && go build -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/tools/ghacache: $(wildcard tools/ghacache/*)
	@echo "building $@"
	cd tools/ghacache && go build -o ../../$@ .

# containerd looks for its shim beside itself. Kubernetes is not among its clients here.
bin/tools/containerd: tools/containerd/go.mod tools/containerd/go.sum
	@echo "building $@: about a minute the first time"
	cd tools/containerd && go build -tags no_cri -o ../../bin/tools/ github.com/containerd/containerd/v2/cmd/containerd github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2

bin/tools/toxiproxy: tools/toxiproxy/go.mod tools/toxiproxy/go.sum
	@echo "building $@: about half a minute the first time"
	cd tools/toxiproxy && go build -o ../../$@ github.com/Shopify/toxiproxy/v2/cmd/server

# Docker's client has no go.mod that would say its version of the language.
bin/tools/docker: tools/docker/go.mod tools/docker/go.sum
	@echo "building $@: about half a minute the first time"
	cd tools/docker && go build -gcflags 'github.com/docker/cli/...=-lang=go1.25' -o ../../$@ github.com/docker/cli/cmd/docker

bin/tools/buildx: tools/buildx/go.mod tools/buildx/go.sum
	@echo "building $@: about three minutes the first time"
	cd tools/buildx && go build -o ../../$@ github.com/docker/buildx/cmd/buildx

bin/tools/versitygw: tools/versitygw/go.mod tools/versitygw/go.sum
	@echo "building $@: about two minutes the first time"
	cd tools/versitygw && go build -o ../../$@ github.com/versity/versitygw/cmd/versitygw

bin/tools/kustomize: tools/kustomize/go.mod tools/kustomize/go.sum
	@echo "building $@: about half a minute the first time"
	cd tools/kustomize && go build -o ../../$@ sigs.k8s.io/kustomize/kustomize/v5

bin/tools/nfpm: tools/nfpm/go.mod tools/nfpm/go.sum
	@echo "building $@: about half a minute the first time"
	cd tools/nfpm && go build -o ../../$@ github.com/goreleaser/nfpm/v2/cmd/nfpm

bin/tools/cyclonedx-gomod: tools/sbom/go.mod tools/sbom/go.sum
	@echo "building $@: about half a minute the first time"
	cd tools/sbom && go build -o ../../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

bin/tools/actionlint: tools/actionlint/go.mod tools/actionlint/go.sum
	@echo "building $@: about a quarter of a minute the first time"
	cd tools/actionlint && go build -o ../../$@ github.com/rhysd/actionlint/cmd/actionlint

bin/tools/kubecheck: $(wildcard tools/kubecheck/*)
	@echo "building $@: about a minute the first time"
	cd tools/kubecheck && go build -o ../../$@ .

# Service discovery, which nothing here uses, would be more than half of what is compiled. There
# is a tag for all of it but Kubernetes, which the check of a scrape configuration knows by
# name: main.go is built without that case.
bin/tools/promtool: tools/promtool/go.mod tools/promtool/go.sum
	@echo "building $@: about a minute the first time"
	rm -rf tools/promtool/upstream && mkdir tools/promtool/upstream
	cd tools/promtool && cp --no-preserve=mode $$(go list -f '{{range .GoFiles}}{{$$.Dir}}/{{.}} {{end}}' github.com/prometheus/prometheus/cmd/promtool) upstream
	sed -i -e '/discovery\/kubernetes"$$/d' -e '/case \*kubernetes\.SDConfig:/,/case /{/case \*kubernetes\./d;/case /!d}' tools/promtool/upstream/main.go
	cd tools/promtool && go build -tags remove_all_sd -o ../../$@ ./upstream

# The directory appears when all of it is there.
bin/tools/azurite bin/tools/gitlabci bin/tools/grafana: bin/tools/%: tools/%/package.json tools/%/package-lock.json | npm
	@echo "installing $@: about a minute"
	rm -rf $@ $@.part
	mkdir -p $@.part
	cp $^ $@.part
	npm ci --prefix $@.part --omit=dev --ignore-scripts --no-audit --no-fund
	mv $@.part $@
