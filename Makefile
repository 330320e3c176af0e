# AutoPEFT: `make run` runs a search, `make test` runs the tests. Both do all set-up themselves.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

SEARCH ?= docs/examples/movie-reviews.yaml
WORKDIR ?= runs/$(basename $(notdir $(SEARCH)))
# A manifest may name its files itself; MODEL and DATA override it.
MODEL ?=
DATA ?=
# `make paper`: which study.
STUDY ?= reduced-full
# More flags for `peft-operator run`, such as ARGS='--claim team-data=/mnt/team'.
ARGS ?=

# `make soak`: how many fault plans, and the seed of the first.
PLANS ?= 480
SEED ?= 0

CARGO := cargo
# What users run is optimised; what the tests run is compiled faster (profile.dev in Cargo.toml). Packages are always
# built together: a single package would compile its dependencies again, with fewer features.
BIN := target/release
TEST_BIN := target/debug
# Every test program, by its file or its folder; SLOW are those that take minutes or need a cluster.
PROGRAMS := $(sort $(basename $(notdir $(wildcard */tests/*.rs operator/*/tests/*.rs))) \
    $(notdir $(patsubst %/main.rs,%,$(wildcard */tests/*/main.rs operator/*/tests/*/main.rs))))
SLOW := cluster end_to_end node
QUICK := $(foreach program,$(filter-out $(SLOW),$(PROGRAMS)),--test $(program))
LIBTORCH_DIR = $$(trainer/setup/libtorch.sh)
CACHE = $$(docs/examples/fetch.sh)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 18

## The two commands

.PHONY: run
run: build ## Search: SEARCH=manifest [MODEL=dir] [DATA=dir] [WORKDIR=dir] [ARGS=...]
	@$(BIN)/peft-operator run '$(SEARCH)' --workdir '$(WORKDIR)' --claim "autopeft=$(CACHE)" \
	    $(if $(MODEL),--model '$(MODEL)') $(if $(DATA),--data '$(DATA)') $(ARGS)

.PHONY: paper
paper: build ## A study of the paper (docs/paper.md): STUDY=reduced-full|reduced-transfer|reduced-spaces|full|transfer|spaces|roberta-large [MODEL=dir] [DATA=dir] [ARGS=...]
	@docs/examples/paper/study.sh '$(STUDY)' '$(BIN)' "$(CACHE)" runs/paper \
	    $(if $(MODEL),--model '$(MODEL)') $(if $(DATA),--data '$(DATA)') $(ARGS)

.PHONY: test
test: needs-test lint build-tests ## All set-up, then every test
	@$(TEST_ENVIRONMENT)
	$(CARGO) test --locked --workspace --lib --bins $(QUICK)
	$(CARGO) test --locked --workspace --test cluster -- --test-threads=$(AT_ONCE)
	$(CARGO) test --locked --workspace --test end_to_end
	$(CARGO) test --locked --workspace --test node -- --test-threads=4

## Their parts

.PHONY: check
check: needs-check lint ## Lint, and the tests that need no cluster and take seconds
	@$(TEST_ENVIRONMENT)
	$(CARGO) test --locked --workspace --lib --bins $(QUICK)

# How many cluster tests run at a time: they mostly wait.
AT_ONCE ?= 6
# The variables of the tests.
define TEST_ENVIRONMENT
LIBTORCH="$(LIBTORCH_DIR)"; AUTOPEFT_CACHE="$(CACHE)"; AUTOPEFT_BIN="$$PWD/$(TEST_BIN)"
export LIBTORCH AUTOPEFT_CACHE AUTOPEFT_BIN
endef

# The requirements of each target, checked and if possible installed before anything is compiled.
NEEDS_run := rust libtorch examples
NEEDS_lint := $(NEEDS_run) lint
NEEDS_check := $(NEEDS_lint) chart
NEEDS_test := $(NEEDS_check) tests kubelet
NEEDS_gpu := $(NEEDS_run) gpu
NEEDS_python := $(NEEDS_run) python
NEEDS_bench := rust
NEEDS_deny := rust
NEEDS_soak := $(NEEDS_run) api
NEEDS_cluster := $(if $(KUBECONFIG),,$(if $(filter node,$(SIZE)),node,api))
NEEDS_images := $(NEEDS_run) images
NEEDS_release := $(NEEDS_images) helm syft
NEEDS_demo := $(NEEDS_images) helm node
needs-%:
	@tests/needs.sh $(NEEDS_$*)

.PHONY: setup
setup: needs-run ## Fetch libtorch, example weights and example text (kept in the user's cache)
	@trainer/setup/libtorch.sh >/dev/null
	@docs/examples/fetch.sh >/dev/null

.PHONY: build
build: setup ## Build peft-operator and peft-trainer
	@LIBTORCH="$(LIBTORCH_DIR)"; export LIBTORCH
	$(CARGO) build --release --locked --workspace --bins

.PHONY: lint
lint: needs-lint setup ## Formatting and clippy, warnings denied
	@LIBTORCH="$(LIBTORCH_DIR)"; export LIBTORCH
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

.PHONY: build-tests
build-tests: needs-test setup # The tests, the programs that they run, and the cluster that they run on
	@LIBTORCH="$(LIBTORCH_DIR)"; export LIBTORCH
	for part in kubernetes helm prometheus faketime; do tests/cluster/cluster.sh build $$part >/dev/null; done
	$(CARGO) test --locked --workspace --no-run

.PHONY: test-gpu
test-gpu: needs-gpu setup ## The trainer's tests that need an NVIDIA GPU
	@$(TEST_ENVIRONMENT)
	$(CARGO) test --locked --workspace --test trainer -- --ignored --skip references_are --test-threads=1 --nocapture

.PHONY: test-python
test-python: needs-python setup ## The golden values of modules, computed again by Python's peft and adapters
	@$(TEST_ENVIRONMENT)
	$(CARGO) test --locked --workspace --test trainer -- --ignored references_are --nocapture

.PHONY: soak
soak: needs-soak setup ## Fault plans against the operator: [PLANS=480] [SEED=0, the first]
	@$(TEST_ENVIRONMENT)
	export AUTOPEFT_FAULT_PLANS=$(PLANS) AUTOPEFT_FAULT_SEED=$(SEED)
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --test cluster -- --nocapture faults::plans

## A real Kubernetes on this machine (docs/cluster-tests.md)

# api: etcd and the API server; node: everything, pods run.
SIZE ?= node
NAME ?= main

.PHONY: cluster-up
cluster-up: needs-cluster ## Bring a cluster up: [SIZE=api|node] [NAME=...]; prints its kubeconfig
	@tests/cluster/cluster.sh up --size '$(SIZE)' --name '$(NAME)'

.PHONY: cluster-down
cluster-down: ## Take it down: [NAME=...]
	@tests/cluster/cluster.sh down --name '$(NAME)'

.PHONY: images
images: needs-images setup ## Build the images as OCI archives: operator, trainer, examples, in target/images
	@for image in operator trainer examples; do charts/images/images.sh "$$image" "target/images/$$image.oci"; done

.PHONY: release
release: needs-release setup ## Images, their bills of materials, and the chart with their digests, in target/dist: REGISTRY=...
	@charts/images/release.sh all target/dist

.PHONY: cluster-demo
cluster-demo: needs-demo setup ## A search on a real Kubernetes, from the images to the front: [KEEP=1] [KUBECONFIG=...]
	@tests/cluster/demo.sh

.PHONY: measure-cluster
measure-cluster: needs-soak build ## Measure the operator's requests per trial, and how fast the next trial starts
	@LIBTORCH="$(LIBTORCH_DIR)"; AUTOPEFT_BIN="$$PWD/$(BIN)"; export LIBTORCH AUTOPEFT_BIN
	$(CARGO) run --quiet --release --locked --bin measure

## For developers

.PHONY: generate
generate: setup ## Write the generated files: the CRD, the field reference
	@LIBTORCH="$(LIBTORCH_DIR)"; export LIBTORCH
	$(CARGO) run --quiet --locked --bin generate

.PHONY: bench
bench: needs-bench ## Time the surrogate's fit (Criterion)
	@$(CARGO) bench -p autopeft-engine

# `make bench-trainer`: how often each side runs, and its threads.
PAIRS ?= 3
THREADS ?= 2

.PHONY: bench-trainer
bench-trainer: needs-python build ## Time training against Hugging Face's adapters and peft: [PAIRS=3] [THREADS=2]
	@ADAPTERS="$$(trainer/tests/python/setup.sh adapters)"; PEFT="$$(trainer/tests/python/setup.sh peft)"
	python3 trainer/benches/against_python.py --trainer $(BIN)/peft-trainer --cache "$(CACHE)" \
	    --adapters "$$ADAPTERS" --peft "$$PEFT" --pairs $(PAIRS) --threads $(THREADS)

.PHONY: deny
deny: needs-deny ## Licences, sources and bans; advisories too with ADVISORIES=1 (installs cargo-deny 0.20.2 where it is missing)
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny@0.20.2
	$(CARGO) deny check licenses bans sources $(if $(ADVISORIES),advisories)

.PHONY: env
env: ## Print the environment for running cargo by hand: eval "$(make env)"
	@echo "export LIBTORCH=$(LIBTORCH_DIR)"

.PHONY: clean
clean: ## Remove build products and runs; the user's cache stays
	@$(CARGO) clean
	rm -rf runs
