# What a machine needs: Go and make. Everything else is fetched as Go modules;
# `make services` installs the real servers that further tests use.

SHELL := /bin/bash
GO ?= go
BIN := bin/wfctl
TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/wfctl-tools
GUESTBOOK := examples/guestbook
WFCTL := $(CURDIR)/$(BIN) -C $(GUESTBOOK) --env local
MODULES := . sdk internal/e2e $(patsubst %/go.mod,%,$(wildcard examples/*/go.mod plugins/*/go.mod))
GOLANGCI_VERSION := v2.15.0
BUF_VERSION := v1.75.0
PROTOC_GEN_GO_VERSION := v1.36.12
PROTOC_GEN_GO_GRPC_VERSION := v1.6.2
GORELEASER_VERSION := v2.17.1
ACTIONLINT_VERSION := v1.7.12
GENTOOLS := $(TOOLS)/gen-$(BUF_VERSION)-$(PROTOC_GEN_GO_VERSION)-$(PROTOC_GEN_GO_GRPC_VERSION)
export CGO_ENABLED ?= 0
export GOFLAGS ?= -buildvcs=false

.PHONY: gen-symbols build demo demo-up demo-down test check conformance plugin-digitalocean lint cross gen current bench bench-services bench-peers services services-stop test-services torture torture-cloud torture-cluster bench-cluster check-scale release release-lint release-check clean

build: ## the binary, bin/wfctl
	$(GO) build -trimpath -ldflags="-s -w" -o $(BIN) ./cmd/wfctl
	$(GO) build -trimpath -ldflags="-s -w" -o $(BIN)-temporal ./cmd/wfctl-temporal

demo: demo-up ## the main job on the example, and back to nothing
	$(WFCTL) up
	$(MAKE) --no-print-directory demo-down

demo-up: build ## the example up and running
	$(WFCTL) up
	url=$$($(WFCTL) infra outputs --module web --output url) && cd $(GUESTBOOK) && $(GO) run ./cmd/guestbookctl "$$url" "make demo" "Hello from the demo"

demo-down: build ## the example stopped and removed
	$(WFCTL) down --approve

test: ## every test that needs nothing but Go
	@set -e; for m in $(MODULES); do echo "== $$m"; (cd $$m && CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(if $(RACE),-race -timeout 30m) ./...); done
	@$(MAKE) --no-print-directory conformance

conformance: ## what each provider answers to each request, in process and over the wire
	@set -e; for p in ./provider/core ./provider/local ./examples/plugin-hello ./plugins/digitalocean/do; do \
		said=$$(cd $$p && CGO_ENABLED=0 $(GO) test -v -run '^TestConformance$$' .) || { echo "$$said"; exit 1; }; \
		echo "$$said" | sed -n 's/^        //; /^conformance of/,/^at the same time/p'; echo; done

plugin-digitalocean: ## the plugin, as a folder that `wfctl plugin add --source file://…` takes
	./scripts/plugin-folder digitalocean $(or $(VERSION),v0.1.0) dist/plugins/digitalocean

check: cross lint current ## formatting, vet, lint, all platforms, the house's rules
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	@set -e; for m in $(MODULES); do (cd $$m && $(GO) vet ./...); done
	@mkdir -p bin && $(GO) build -o bin/revealcheck ./internal/revealcheck/cmd/revealcheck
	@set -e; for m in $(MODULES); do (cd $$m && $(GO) vet -vettool=$(CURDIR)/bin/revealcheck ./...); done
	$(GO) test ./internal/house

cross: ## it builds for every platform that it is released for
	@set -e; for os in linux darwin windows; do for arch in amd64 arm64; do \
		echo "build $$os/$$arch"; GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -o /dev/null ./cmd/wfctl-temporal; done; done # as the release does: it finds what is compiled

lint: $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)
	@set -e; for m in $(MODULES); do (cd $$m && $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION) run --config $(CURDIR)/.golangci.yml ./...); done

$(TOOLS)/golangci-lint-$(GOLANGCI_VERSION):
	mkdir -p $(TOOLS)
	GOWORK=off GOBIN=$(TOOLS)/tmp $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/tmp/golangci-lint $@

gen-symbols: ## what user code may import, after another Go: yaegi's own tool, with its init functions turned into plain ones
	mkdir -p $(GENTOOLS)/symbols
	GOWORK=off GOBIN=$(GENTOOLS) $(GO) install github.com/traefik/yaegi/cmd/yaegi@v0.16.1
	cd $(GENTOOLS)/symbols && $(GENTOOLS)/yaegi extract -name symbols $$(cd $(CURDIR) && $(GO) run ./internal/gensymbols -list)
	$(GO) run ./internal/gensymbols -from $(GENTOOLS)/symbols -to step/golang/symbols

gen: $(GENTOOLS)/buf ## the code that is made from sdk/proto
	cd sdk/proto && PATH="$(GENTOOLS):$$PATH" buf generate

current: $(GENTOOLS)/buf ## the generated code that is checked in is what gen would make
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && mkdir "$$tmp/proto" \
		&& (cd sdk/proto && PATH="$(GENTOOLS):$$PATH" buf generate -o "$$tmp/proto") \
		&& diff -r --exclude=doc.go "$$tmp/internal/pb" sdk/internal/pb \
		|| { echo "generated code is not current: run make gen"; exit 1; }

$(GENTOOLS)/buf:
	mkdir -p $(GENTOOLS)
	GOWORK=off GOBIN=$(GENTOOLS) $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO_VERSION)
	GOWORK=off GOBIN=$(GENTOOLS) $(GO) install google.golang.org/grpc/cmd/protoc-gen-go-grpc@$(PROTOC_GEN_GO_GRPC_VERSION)
	GOWORK=off GOBIN=$(GENTOOLS) $(GO) install github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION)

bench: ## all benchmarks, as benchstat reads them
	@set -e; for m in $(MODULES); do (cd $$m && $(GO) test -run '^$$' -bench . -benchmem -count $(or $(COUNT),6) ./...); done

bench-services: ## the figures of the state backends, on the servers of make services
	@eval "$$(./scripts/services env)"; $(GO) test -tags services -run '^$$' -bench . -benchtime $(or $(BENCHTIME),3x) ./internal/backends

bench-peers: build ## beside Terraform, where it is on PATH
	$(GO) run ./internal/benchpeers -wfctl $(BIN)

BACKENDS ?= sqlite filesystem postgres s3 gcs azure
torture: build services ## kill -9 at random instants, 100 rounds on each backend, and with a bad network
	@set -e; eval "$$(./scripts/services env)"; for b in $(BACKENDS); do \
		$(GO) run ./internal/torture -wfctl $(BIN) -rounds $(or $(ROUNDS),100) -backend $$b; \
		case $$b in postgres) faults=40;; sqlite|filesystem) continue;; *) faults=12;; esac; \
		$(GO) run ./internal/torture -wfctl $(BIN) -rounds $(or $(ROUNDS),100) -backend $$b -faults $$faults; done

torture-cloud: ## the DigitalOcean plugin in a cloud that drops answers at random, 100 rounds
	cd internal/e2e && $(GO) test -count 1 -v -run '^TestChaos$$' -rounds $(or $(ROUNDS),100) .

torture-cluster: build plugin-digitalocean ## kill -9 workers during 200 runs on Temporal, on this machine and the fake cloud, and restart its server twice
	./scripts/services start postgres temporal
	@set -e; eval "$$(./scripts/services env)"; $(GO) build -o bin/fakedo ./plugins/digitalocean/fakedo/cmd/fakedo; \
	bin/fakedo --addr 127.0.0.1:8091 --speed 600 --quiet >/dev/null & fake=$$!; trap "kill $$fake" EXIT; \
	$(GO) run ./internal/clustertorture -wfctl $(BIN)-temporal -runs $(or $(RUNS),200) \
		-cloud http://127.0.0.1:8091 -plugin file://$(CURDIR)/dist/plugins/digitalocean

bench-cluster: build ## the figures of runs on Temporal
	./scripts/services start postgres temporal
	@eval "$$(./scripts/services env)"; $(GO) run ./internal/clusterbench -wfctl $(BIN)-temporal

check-scale: ## the compose file and the chart of examples/scale, by what reads them in earnest
	cd examples/scale/check && GOWORK=off $(GO) test ./...

services: ## install and start the real servers that test-services uses
	./scripts/services start

services-stop:
	./scripts/services stop

# The packages whose tests have parts that need servers, a line each.
SERVICE_TESTS := ./state/... ./internal/backends ./internal/faultproxy ./internal/torture \
	./migrate/... ./cmd/workflow-migrate \
	./provider/local/... \
	./event/postgres ./pipeline/temporal ./internal/clusters ./internal/clustertorture \
	./secret/sops \
	./sigstore ./build/... ./internal/shipping \
	./web
SERVICE_CLI_TESTS := ^(TestWorkflowsRun|TestSignsKeyless)$$

test-services: ## the tests that need real servers
	@set -e; eval "$$(./scripts/services env)"; export CI=true; \
	$(GO) test -tags services $(SERVICE_TESTS); \
	$(GO) test -tags services -run "$(SERVICE_CLI_TESTS)" ./cli; \
	(cd plugins/digitalocean && $(GO) test -tags services ./fakedo/world && $(GO) test -tags services -run OnARealServer ./do ./appspec); \
	(cd internal/e2e && $(GO) test -tags services .)

GORELEASER := $(TOOLS)/goreleaser-$(GORELEASER_VERSION)/goreleaser
ACTIONLINT := $(TOOLS)/actionlint-$(ACTIONLINT_VERSION)/actionlint
release: $(GORELEASER) ## the files of a release, as a draft on GitHub: release.yml runs it
	./scripts/release-notes $(GITHUB_REF_NAME) >"$${RUNNER_TEMP:-/tmp}/notes.md"
	PATH="$(CURDIR)/bin:$$PATH" $(GORELEASER) release --clean --release-notes "$${RUNNER_TEMP:-/tmp}/notes.md"

release-lint: $(GORELEASER) $(ACTIONLINT) ## the release's configuration and the workflows
	$(ACTIONLINT) -shellcheck= -pyflakes=
	$(GORELEASER) check --quiet

release-check: release-lint ## a whole release, but for publishing it
	./scripts/release-check $(GORELEASER)

$(GORELEASER):
	GOWORK=off GOFLAGS= GOBIN=$(dir $@) $(GO) install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)

$(ACTIONLINT):
	GOWORK=off GOFLAGS= GOBIN=$(dir $@) $(GO) install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

clean:
	rm -rf bin
