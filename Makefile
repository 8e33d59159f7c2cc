# bkguard. `make help` lists the targets.

GUARD_VERSION := $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' guard/guard.go)
BUILDKIT_VERSION := $(shell sed -n 's|.*github.com/moby/buildkit \(v[^ ]*\).*|\1|p' daemon/go.mod)

BUILDKIT := ./vendor/github.com/moby/buildkit
LINK := -X github.com/moby/buildkit/version.Version
LIBRARY := $(shell find config guard -name '*.go' -not -name '*_test.go')
SEAM := $(wildcard daemon/seam/*.go daemon/weave/*.go)
PROGRAMS := bin/buildkitd bin/buildctl
PARTS := $(PROGRAMS) bin/buildkitd-stock bin/tools/registry
# What only the tests need.
TOOLS := bin/tools/ghacache

.PHONY: all
all: $(PROGRAMS) ## build bin/buildkitd, with the guard in it, and bin/buildctl

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(PARTS) runc ## play moby/buildkit issue 6088 on stock and on guarded buildkitd
	go run ./test/demo

.PHONY: test
test: lint $(PARTS) $(TOOLS) runc ## run the linter and every test
	go test -race -count=1 -timeout 18m ./...
	cd daemon && go test -race -count=1 ./seam/... ./weave/...

.PHONY: bench
bench: ## measure the guard beside upstream
	go test -run '^$$' -bench . -benchmem ./guard

.PHONY: lint
lint: bin/tools/golangci-lint daemon/vendor/modules.txt ## run golangci-lint
	bin/tools/golangci-lint run ./...
	cd daemon && ../bin/tools/golangci-lint run ./seam/... ./weave/...

.PHONY: diff
diff: daemon/overlay/overlay.json ## show what differs from upstream's main.go
	@diff -u daemon/$(BUILDKIT)/cmd/buildkitd/main.go daemon/overlay/main.go; test $$? -eq 1

.PHONY: clean
clean: ## remove what was built; the caches of go stay
	rm -rf bin daemon/vendor daemon/overlay

# runc is the system's: it needs libseccomp.
.PHONY: runc
runc:
	@command -v runc >/dev/null || { \
		echo "installing runc"; \
		if command -v apt-get >/dev/null; then apt-get update && apt-get install -y --no-install-recommends runc; \
		elif command -v dnf >/dev/null; then dnf install -y runc; \
		elif command -v apk >/dev/null; then apk add runc; \
		else echo "runc is missing: install the runc package of this distribution" >&2; exit 1; fi; }

daemon/vendor/modules.txt: go.mod daemon/go.mod daemon/go.sum $(LIBRARY)
	cd daemon && go mod vendor
	@touch $@

daemon/overlay/overlay.json: daemon/vendor/modules.txt $(SEAM)
	cd daemon && go run ./weave $(BUILDKIT)/cmd/buildkitd/main.go overlay

bin/buildkitd: daemon/overlay/overlay.json
	@echo "building $@: about two minutes the first time"
	cd daemon && go build -trimpath -overlay overlay/overlay.json -ldflags '$(LINK)=$(BUILDKIT_VERSION)+bkguard.$(GUARD_VERSION)' -o ../$@ $(BUILDKIT)/cmd/buildkitd

bin/buildkitd-stock: daemon/vendor/modules.txt
	@echo "building $@: upstream's, for comparison"
	cd daemon && go build -trimpath -ldflags '$(LINK)=$(BUILDKIT_VERSION)' -o ../$@ $(BUILDKIT)/cmd/buildkitd

bin/buildctl: daemon/vendor/modules.txt
	@echo "building $@"
	cd daemon && go build -trimpath -ldflags '$(LINK)=$(BUILDKIT_VERSION)+bkguard.$(GUARD_VERSION)' -o ../$@ $(BUILDKIT)/cmd/buildctl

bin/tools/registry: tools/go.mod tools/go.sum
	@echo "building $@: about a minute the first time"
	cd tools && go build -trimpath -o ../$@ github.com/distribution/distribution/v3/cmd/registry

bin/tools/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@echo "building $@: about three minutes the first time"
	cd tools/lint && go build -trimpath -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/tools/ghacache: $(wildcard tools/ghacache/*)
	@echo "building $@"
	cd tools/ghacache && go build -trimpath -o ../../$@ .
