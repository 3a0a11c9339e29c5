# PG=18 or PG_CONFIG=/path picks the server, PGMQ=1.13.0 its pgmq, PROFILE=dev the cargo profile; KEEP=1 leaves the
# demo's cluster running, FRESH=1 gives psql a new one. All of them reach the scripts through the environment.
export PG PG_CONFIG PGMQ PROFILE KEEP FRESH BENCH BENCH_QUICK BENCH_ROUNDS BENCH_WORKERS BENCH_MINUTES

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-tests build install demo psql bench test test-unit test-regress test-isolation test-integration \
	lint fmt reference freeze stop clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile
	@echo
	@sed -n '1,2s/^# /  /p' Makefile

setup: ## install what is missing: server, headers, clang, cargo-pgrx, pgmq (root or sudo)
	@scripts/setup

# What only the integration tests want on top of it.
setup-tests: setup
	@scripts/setup tests

build: setup ## build the extension
	@scripts/install build

# It says how to go on only to whoever asked for it, not to whoever asked for the demo.
install: setup ## build the extension and install it into the server
	@scripts/install $(if $(filter install,$(MAKECMDGOALS)),guide)

demo: install ## run workflows with real workers on a private cluster (KEEP=1 leaves it running until the next)
	@scripts/demo

psql: install ## psql on a private cluster that has the extension
	@scripts/psql

bench: install ## measure beside raw pgmq (about 45 minutes; BENCH="chain10 latency" picks, BENCH_QUICK=1 is short)
	@scripts/bench

test: setup-tests ## all tests: lint, unit, regress, isolation, integration
	@scripts/test

test-unit: setup ## Rust unit tests, without a server
	@scripts/test unit

test-regress: setup ## SQL tests (pg_regress)
	@scripts/test regress

test-isolation: setup ## concurrency tests (pg_isolation_regress)
	@scripts/test isolation

test-integration: setup-tests ## Rust tests against clusters of their own
	@scripts/test integration

lint: setup ## formatting, clippy, shell syntax
	@scripts/test lint

fmt: ## format the Rust code
	@cargo fmt

reference: install ## write docs/sql-reference.md anew from the extension's comments
	@scripts/sql-reference

freeze: build ## keep this version's install script for ever, as the last step of a release
	@scripts/freeze

stop: ## end the clusters left under target/
	@scripts/stop

clean: ## delete target/ and the clusters in it
	@scripts/stop remove
	@cargo clean
