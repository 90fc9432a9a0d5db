# Everything a person or a CI machine does with this repository.
# `make help` lists the targets; README says which two matter.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VERSION ?= 0.1.0-dev
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
DESTDIR ?=
PREFIX  ?= /usr/local
BINDIR      = $(DESTDIR)$(PREFIX)/bin
LIBEXECDIR  = $(DESTDIR)$(PREFIX)/libexec/nemoclaw
MANDIR      = $(DESTDIR)$(PREFIX)/share/man

GO ?= go
export GOFLAGS = -buildvcs=false
export GOTOOLCHAIN = local

# What the linker is told. An empty build id, trimmed paths and no VCS stamp make
# two builds of one commit byte for byte the same.
LDFLAGS = -s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The commands that exist, in the order that readers know them.
GOCMDS  = $(patsubst cmd/%/,%,$(dir $(wildcard cmd/*/main.go)))
PURE    = $(filter-out nemoclaw-runtime,$(GOCMDS))
RUNTIME_TAGS = seccomp netgo osusergo runc_nocriu urfave_cli_no_docs
HELPERS = nemoclaw-init nemoclaw-supervisor nemoclaw-broker

.PHONY: help deps build install uninstall quickstart check test bench conformance clean openclaw-image

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

deps: ## install what building and testing need (Debian 12, as root)
	scripts/deps.sh

# With an empty build id `go build` cannot see that its output is up to date and
# links again each time: make compares times instead. The stamp changes with
# version, commit and flags.
SOURCES = go.mod go.sum $(shell find . -name '*.go' -not -name '*_test.go' -not -path './.*' -o -path './policy/*' -name '*.yaml' | LC_ALL=C sort)
STAMP   = .cache/stamp
STAMPED = $(VERSION) $(COMMIT) $(LDFLAGS) $(RUNTIME_TAGS)
$(shell mkdir -p .cache bin; echo '$(STAMPED)' | cmp -s - $(STAMP) || echo '$(STAMPED)' > $(STAMP))

build: $(addprefix bin/,$(GOCMDS) $(if $(wildcard cmd/nemoclaw-init/*.c),nemoclaw-init)) ## static, reproducible binaries into bin/

$(addprefix bin/,$(PURE)): bin/%: $(SOURCES) $(STAMP) Makefile
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/$*

# The one cgo binary: libcontainer's nsenter and libseccomp.
bin/nemoclaw-runtime: $(SOURCES) $(STAMP) Makefile
	CGO_ENABLED=1 $(GO) build -trimpath -tags '$(RUNTIME_TAGS)' \
		-ldflags '$(LDFLAGS) -linkmode external -extldflags "-static -Wl,--build-id=none"' \
		-o $@ ./cmd/nemoclaw-runtime

bin/nemoclaw-init: $(wildcard cmd/nemoclaw-init/*.c cmd/nemoclaw-init/*.h cmd/nemoclaw-init/build.sh)
	CC=$(CC) cmd/nemoclaw-init/build.sh $@

install: build ## install below PREFIX (/usr/local); DESTDIR works
	install -d $(BINDIR) $(LIBEXECDIR)
	for b in $(GOCMDS) nemoclaw-init; do \
		[ -f bin/$$b ] || continue; \
		case " $(HELPERS) " in *" $$b "*) d=$(LIBEXECDIR);; *) d=$(BINDIR);; esac; \
		install -m 0755 bin/$$b $$d/.$$b.new && mv -f $$d/.$$b.new $$d/$$b; done
	if [ -d docs/man ]; then \
		for f in docs/man/*.[1-8]; do install -D -m 0644 $$f $(MANDIR)/man$${f##*.}/$${f##*/}; done; fi

uninstall: ## remove what install put there
	rm -f $(addprefix $(BINDIR)/,nemoclaw nemoclaw-runtime containerd-shim-nemoclaw-v1)
	rm -f $(addprefix $(LIBEXECDIR)/,$(HELPERS))
	rmdir $(LIBEXECDIR) 2>/dev/null || true
	rm -f $(MANDIR)/man[1-8]/nemoclaw*.[1-8]

quickstart: ## from nothing to OpenClaw under a policy, and what that looks like
	scripts/quickstart.sh

openclaw-image: ## build the image with the real OpenClaw and its policy as a label
	scripts/openclaw-image.sh

check: ## formatting, vet, layering, linters, shell syntax
	scripts/check.sh

test: ## everything: check, unit tests, root and engine tests; lists every skip
	scripts/test.sh

bench: build ## figures against runc, as ratios
	scripts/bench.sh

conformance: build ## runc's own test suite, by the difference to stock runc
	scripts/conformance.sh

clean: ## remove what was built here (not the caches of deps and test)
	rm -rf bin .cache coverage.out
