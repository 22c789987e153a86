# Spillway. `make` alone prints this help.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

FUZZTIME ?= 20s
TIMEOUT  ?= 20m
ARGS     ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
DATE    := $(shell git log -1 --format=%cI 2>/dev/null)
INFO    := spillway/internal/buildinfo
LDFLAGS := -X $(INFO).version=$(VERSION) -X $(INFO).commit=$(COMMIT) -X $(INFO).date=$(DATE)

.PHONY: help
help: ## print this help
	@echo 'usage: make TARGET [ARGS="..."] [FUZZTIME=20s]'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-18s %s\n", $$1, $$2 }'

## ---- build and run

.PHONY: build
build: ## bin/spillway
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/spillway ./cmd/spillway

.PHONY: run
run: build ## a gateway, a development registry and three backends on this machine
	bin/spillway dev $(ARGS)

.PHONY: consul
consul: bin/consul ## bin/consul: real Consul 1.19.2, built once (5 minutes)

bin/consul: tools/consul/go.mod tools/consul/go.sum
	@mkdir -p bin
	@echo 'building Consul from source: about 5 minutes the first time'
	cd tools/consul && go build -buildvcs=false -o ../../bin/consul.new github.com/hashicorp/consul
	mv bin/consul.new $@

.PHONY: clean
clean: ## remove bin/
	rm -rf bin

## ---- judge

.PHONY: deps
deps: ## install what the tests start and is missing: nginx, HAProxy, wrk, gcc
	@tools/deps.sh

.PHONY: test
test: deps build consul ## every test: with the race detector, then those of time, allocation and memory without it
	go test -race -timeout $(TIMEOUT) ./...
	tools/norace.sh -timeout $(TIMEOUT)

.PHONY: race
race: build consul ## the tests under the race detector alone, nothing from the cache
	go test -race -count=1 -timeout $(TIMEOUT) $(ARGS) ./...

.PHONY: check
check: bin/gofumpt bin/staticcheck ## format, vet, staticcheck, import rules
	@unformatted=$$(bin/gofumpt -l .); test -z "$$unformatted" || \
		{ printf 'not formatted (make fmt):\n%s\n' "$$unformatted"; exit 1; }
	go vet ./...
	bin/staticcheck ./...
	go test -count=1 ./internal/arch

.PHONY: fmt
fmt: bin/gofumpt ## format every file
	bin/gofumpt -w .

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME, found by name
	tools/fuzz.sh $(FUZZTIME)

bin/gofumpt bin/staticcheck &: tools/lint/go.mod tools/lint/go.sum
	@mkdir -p bin
	cd tools/lint && go build -buildvcs=false -o ../../bin/ mvdan.cc/gofumpt honnef.co/go/tools/cmd/staticcheck
	@touch bin/gofumpt bin/staticcheck

## ---- measure (each prints the real figure; in `make test` the same checks have three times the slack)

.PHONY: bench-peers
bench-peers: deps build ## CPU per request beside nginx, HAProxy, fasthttp and net/http (minutes)
	bin/spillway bench peers --json bin/bench-peers.json $(ARGS)

.PHONY: bench-features
bench-features: deps build ## CPU per request of each feature beside plain Spillway
	bin/spillway bench peers --peers nginx,spillway --features --connections 64 --json bin/bench-features.json $(ARGS)

.PHONY: bench-sync
bench-sync: build consul ## time from a Consul write to the routed change, 200 changes on real Consul
	tools/figure.sh TestFigureSync

.PHONY: bench-churn
bench-churn: build consul ## 100 changes a second under load: failed requests, CPU against quiet runs
	tools/figure.sh TestFigureChurn

.PHONY: bench-idle
bench-idle: build ## memory of an idle keep-alive connection, 8,000 of them
	tools/figure.sh TestFigureIdle

.PHONY: bench-generator
bench-generator: deps build ## CPU per request of our load generator beside wrk; ends with `ratio X`
	bin/spillway bench generator $(ARGS)

.PHONY: bench-placement
bench-placement: ## containers placed a second on 10,000 hosts, and hosts used beside best-fit-decreasing
	@tools/figure.sh TestFigurePlacement | awk '/^(placements\/s|hosts ours) / { last = last $$0 "\n"; next } { print } END { printf "%s", last }'

## Scenarios beside other proxies. Each saves its figures, from which docs/benchmarks.md is made (bench-docs).

RESULTS  ?= bench/results
SCENARIO  = bin/spillway bench peers --out $(RESULTS) $(ARGS) --scenario

.PHONY: bench-cpu
bench-cpu: deps build ## CPU per request and maximum rate, nine loads (12 minutes)
	$(SCENARIO) cpu

.PHONY: bench-latency
bench-latency: deps build ## latency at 30, 50 and 80 % of what nginx does at most (11 minutes)
	$(SCENARIO) latency

.PHONY: bench-membership
bench-membership: deps build consul ## servers come and go: Consul, reloads, runtime API (7 minutes)
	$(SCENARIO) membership

.PHONY: bench-peers-churn
bench-peers-churn: deps build consul ## the same 100 times a second (2 minutes)
	$(SCENARIO) churn

.PHONY: bench-connections
bench-connections: deps build ## 8,000 idle connections, and a connection a request (2 minutes)
	$(SCENARIO) connections

.PHONY: bench-scaling
bench-scaling: deps build ## one and two loops, cores for 200,000 requests a second (2 minutes)
	$(SCENARIO) scaling

.PHONY: bench-two-hundred
bench-two-hundred: deps build ## 200,000 requests a second from pipelined clients (2 minutes)
	$(SCENARIO) two-hundred

.PHONY: bench-smoke
bench-smoke: deps build consul ## every scenario, seconds instead of minutes, to see that it works
	bin/spillway bench peers --scenario all --quick $(ARGS)

.PHONY: bench-docs
bench-docs: build ## write the saved figures into docs/benchmarks.md
	bin/spillway bench peers --render docs/benchmarks.md $(RESULTS)/*.json

.PHONY: crash-matrix
crash-matrix: deps build consul ## scalers die before and after every effect: on the simulated clouds under every fault, then real ones on this machine (root; 7 minutes)
	SPILLWAY_CRASH_MATRIX=1 go test -count=1 -timeout 8m -v -run 'TestCrashMatrix|TestFaults|TestThousandMachines' -skip ThroughProtocols ./scaler | \
		grep -vE '^ *(=== |--- PASS)'
	bin/spillway demo crash --rounds 1 $(ARGS)

.PHONY: demo-scale
demo-scale: deps build consul ## a spike at the gateway buys capacity and gives it back (root; 5 minutes)
	bin/spillway demo scale --html bin/demo-scale.html --json bin/demo-scale.json $(ARGS)

.PHONY: bench-all
bench-all: ## every figure of docs/benchmarks.md anew (40 minutes, on a quiet machine)
	$(MAKE) bench-cpu bench-latency bench-membership bench-peers-churn bench-connections bench-scaling bench-two-hundred
	$(MAKE) bench-docs
