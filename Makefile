# AutoPEFT: `make run` searches, `make test` passes the tests. Both do all set-up by themselves.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

SEARCH ?= docs/examples/movie-reviews.yaml
WORKDIR ?= runs/$(basename $(notdir $(SEARCH)))
# A manifest may name its files itself; MODEL and DATA take the place of what it names.
MODEL ?=
DATA ?=
# More flags for `peft-operator run`, such as ARGS='--claim team-data=/mnt/team'.
ARGS ?=

# `make soak`: how many fault plans, and the seed of the first.
PLANS ?= 480
SEED ?= 0

CARGO := cargo
BIN := target/release
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

.PHONY: test
test: lint unit ## All set-up, then every test

## Their parts

.PHONY: setup
setup: toolchain ## Fetch libtorch, example weights and example text (kept in the user's cache)
	@trainer/setup/libtorch.sh >/dev/null
	@docs/examples/fetch.sh >/dev/null

.PHONY: toolchain
toolchain: # One clear line for what this machine lacks
	@need() { command -v "$$1" >/dev/null || { echo "autopeft needs $$1: $$2" >&2; exit 1; }; }
	need cargo "install Rust 1.95.0 with rustup"
	need go "install Go 1.26 or newer (the cluster of the tests is built with it)"
	need openssl "Debian: apt-get install openssl"
	need g++ "Debian: apt-get install g++"
	need python3 "Debian: apt-get install python3 python3-pip"

.PHONY: build
build: setup ## Build peft-operator and peft-trainer
	@LIBTORCH="$(LIBTORCH_DIR)"; export LIBTORCH
	$(CARGO) build --release --locked --bins

.PHONY: lint
lint: setup ## Formatting and clippy, warnings refused
	@LIBTORCH="$(LIBTORCH_DIR)"; export LIBTORCH
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

.PHONY: unit
unit: build # Every test of every room, the end-to-end search included
	@LIBTORCH="$(LIBTORCH_DIR)"; AUTOPEFT_CACHE="$(CACHE)"; AUTOPEFT_BIN="$$PWD/$(BIN)"
	export LIBTORCH AUTOPEFT_CACHE AUTOPEFT_BIN
	$(CARGO) test --release --locked --workspace

.PHONY: test-gpu
test-gpu: setup ## The trainer's tests that need an NVIDIA GPU
	@LIBTORCH="$(LIBTORCH_DIR)"; AUTOPEFT_CACHE="$(CACHE)"; export LIBTORCH AUTOPEFT_CACHE
	$(CARGO) test --release --locked -p autopeft-trainer --test trainer -- --ignored --test-threads=1 --nocapture

.PHONY: soak
soak: build ## Fault plans against the operator: [PLANS=480] [SEED=0, the first]
	@LIBTORCH="$(LIBTORCH_DIR)"; AUTOPEFT_BIN="$$PWD/$(BIN)"; AUTOPEFT_FAULT_PLANS=$(PLANS); AUTOPEFT_FAULT_SEED=$(SEED)
	export LIBTORCH AUTOPEFT_BIN AUTOPEFT_FAULT_PLANS AUTOPEFT_FAULT_SEED
	$(CARGO) test --release --locked --workspace --test faults_plans -- --nocapture

## A real Kubernetes on this machine (docs/cluster-tests.md)

# api: etcd and the API server; node: everything, pods run.
SIZE ?= node
NAME ?= main

.PHONY: cluster-up
cluster-up: ## Bring a cluster up: [SIZE=api|node] [NAME=...]; prints its kubeconfig
	@tests/cluster/cluster.sh up --size '$(SIZE)' --name '$(NAME)'

.PHONY: cluster-down
cluster-down: ## Take it down: [NAME=...]
	@tests/cluster/cluster.sh down --name '$(NAME)'

.PHONY: images
images: ## Build the images as OCI archives: operator, trainer, examples, in target/images
	@for image in operator trainer examples; do charts/images/images.sh "$$image" "target/images/$$image.oci"; done

.PHONY: release
release: ## Images, what is in them, and the chart with their digests, in target/dist: REGISTRY=...
	@charts/images/release.sh all target/dist

.PHONY: cluster-demo
cluster-demo: ## A search on a real Kubernetes, from the images to the front: [KEEP=1] [KUBECONFIG=...]
	@tests/cluster/demo.sh

.PHONY: measure-cluster
measure-cluster: build ## What the operator writes and reads for a trial, and how fast the next one starts
	@LIBTORCH="$(LIBTORCH_DIR)"; AUTOPEFT_BIN="$$PWD/$(BIN)"; export LIBTORCH AUTOPEFT_BIN
	$(CARGO) run --quiet --release --locked --bin measure

## For those who work on it

.PHONY: generate
generate: setup ## Write what is generated: the CRD, the field reference
	@LIBTORCH="$(LIBTORCH_DIR)"; export LIBTORCH
	$(CARGO) run --quiet --release --bin generate

.PHONY: bench
bench: ## Time the surrogate's fit (Criterion)
	@$(CARGO) bench -p autopeft-engine

.PHONY: deny
deny: ## Licences, sources and bans; advisories too with ADVISORIES=1 (installs cargo-deny 0.20.2 where it is missing)
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny@0.20.2
	$(CARGO) deny check licenses bans sources $(if $(ADVISORIES),advisories)

.PHONY: env
env: ## Print the variable that a cargo command by hand needs: eval "$(make env)"
	@echo "export LIBTORCH=$(LIBTORCH_DIR)"

.PHONY: clean
clean: ## Remove build products and runs; the user's cache stays
	@$(CARGO) clean
	rm -rf runs
