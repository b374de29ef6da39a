# Thin names for plain commands; nothing here is needed to build: `go build ./cmd/edgeua` is enough.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 20s
LDFLAGS  := -s -w -buildid= -X main.version=$(VERSION)

.PHONY: help build test race test-386 lint generate fuzz interop netns arm qemu bench bench-codec bench-rss bench-drivers bench-reverse ci clean

help:
	@echo 'build       bin/edgeua, static and stripped'
	@echo 'test        go test ./...'
	@echo 'race        the same under the race detector'
	@echo 'test-386    the same in 32 bits'
	@echo 'lint        gofmt, go vet, golangci-lint (installs it on first use)'
	@echo 'generate    writes the generated files again'
	@echo 'fuzz        every fuzz target for FUZZTIME ($(FUZZTIME))'
	@echo 'interop     tests with foreign peers: python3-pymodbus, libmodbus-dev, gcc, socat, tshark, and npm ci in test/interop'
	@echo 'netns       two gateways behind NAT, in network namespaces: root, nftables, and what interop needs'
	@echo 'arm         dist/: binaries for ARMv5, v6, v7 and arm64, built twice and compared'
	@echo 'qemu        runs them on emulated processors'
	@echo 'bench       requests per second and CPU per request of the binary, beside a TCP echo'
	@echo 'bench-codec our codec beside that of gopcua'
	@echo 'bench-rss   idle memory with 2000 tags, and sizes of the binaries'
	@echo 'bench-drivers the Modbus driver against the wire, and beside a master in C (libmodbus-dev)'
	@echo 'bench-reverse both ends of reverse connect, and a bridge beside socat'
	@echo 'ci          everything, as .ci/run does it'

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/edgeua ./cmd/edgeua

test:
	go test ./...

race:
	go test -race ./...

test-386:
	CGO_ENABLED=0 GOARCH=386 go test ./...

lint:
	.ci/lint

generate:
	go generate ./...

fuzz:
	.ci/fuzz $(FUZZTIME)

interop:
	go test -tags interop -count 1 ./test/interop/...

netns:
	test/netns/run

arm:
	$(MAKE) -C build/arm reproducible sizes

qemu:
	$(MAKE) -C build/arm emulated

bench:
	go run ./test/bench

bench-codec:
	go test -run '^$$' -bench . ./internal/uabinary

bench-drivers:
	go run ./test/benchdrivers

bench-rss:
	go run ./test/bench -sizes

bench-reverse:
	go run ./test/benchreverse

ci:
	.ci/run

clean:
	rm -rf bin dist
