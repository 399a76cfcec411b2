# The everyday commands. `.ci/run` is what CI runs; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

JOBS ?= $(shell nproc)
SEEDS ?= 2000
ROUNDS ?= 5
PYTHON := /usr/bin/python3
CONFIGURE := cmake -G Ninja -S . -DSF_GO_CACHE=$(CURDIR)/build-go $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
LAB := tests/lab/lab.py
# `-rs` names every skipped test with its reason: nothing is left out silently.
PYTEST := pytest -rs -p no:cacheprovider

.PHONY: coverage help test-e2e-1 test-e2e-2 deps build build-asan demo test test-unit test-e2e test-e2e-asan test-e2e-threads test-load load soak test-tsan build-tsan sim lint format fuzz fuzz-ci build-fuzz bench bench-plots bench-micro install clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

deps: ## install the Debian packages that are missing
	@scripts/install-deps.sh

build: deps ## the release build, in build/
	@mkdir -p build; $(CONFIGURE) -B build -DCMAKE_BUILD_TYPE=Release -DSF_BENCHMARKS=ON >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	@ninja -C build -j $(JOBS)

build-asan: deps ## the build with AddressSanitizer and UndefinedBehaviorSanitizer, in build-asan/
	@mkdir -p build-asan; $(CONFIGURE) -B build-asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSF_SANITIZE=ON >build-asan/configure.log 2>&1 || { cat build-asan/configure.log; exit 1; }
	@ninja -C build-asan -j $(JOBS)

build-fuzz: deps ## the fuzz targets with libFuzzer, in build-fuzz/
	@mkdir -p build-fuzz; $(CONFIGURE) -B build-fuzz -DCMAKE_CXX_COMPILER=clang++-16 -DSF_FUZZERS=ON >build-fuzz/configure.log 2>&1 || { cat build-fuzz/configure.log; exit 1; }
	@ninja -C build-fuzz -j $(JOBS) $(addprefix fuzz_,wire engine simulation services control text policy)

demo: build ## show the main job in the lab
	@$(LAB) --binary build/slirp-forwarder world -- $(PYTHON) scripts/demo.py

test: test-unit ## unit tests, simulator and end-to-end tests, release and sanitized
	@$(MAKE) --no-print-directory -j3 --output-sync=target test-e2e-1 test-e2e-2 test-e2e-asan

test-unit: build build-asan ## unit tests, simulator and layering, release and sanitized
	@ctest --test-dir build --output-on-failure -j $(JOBS)
	@ctest --test-dir build-asan --output-on-failure -j $(JOBS)

test-e2e: build ## end-to-end tests of the release build
	@$(LAB) --binary build/slirp-forwarder $(PYTEST) -m 'not load' tests/e2e

# The same in two labs side by side: most of their time is waiting.
test-e2e-1 test-e2e-2: test-e2e-%: build
	@$(LAB) --binary build/slirp-forwarder $(PYTEST) -m 'not load' --part $*/2 tests/e2e

test-e2e-asan: build-asan ## the core end-to-end tests of the sanitized build
	@$(LAB) --binary build-asan/slirp-forwarder $(PYTEST) -m core tests/e2e

test-load: build ## floods and many connections, on a quiet machine; about a minute
	@$(LAB) --binary build/slirp-forwarder $(PYTEST) -s tests/e2e/test_load.py

# About ten minutes.
load: build ## test-load for longer: LOAD_SECONDS=60 of each flood, LOAD_CONNECTIONS=1000000
	@TEST_SECONDS=3600 LOAD_SECONDS=$(or $(LOAD_SECONDS),60) LOAD_CONNECTIONS=$(or $(LOAD_CONNECTIONS),1000000) $(LAB) --binary build/slirp-forwarder $(PYTEST) -s tests/e2e/test_load.py

soak: build ## mixed real clients for SOAK_MINUTES (default 30); memory and descriptors end where they began
	@SOAK_MINUTES=$(or $(SOAK_MINUTES),30) $(LAB) --binary build/slirp-forwarder world -- $(PYTHON) scripts/soak.py

test-e2e-threads: build ## end-to-end tests, every guest with --threads 2
	@SF_TEST_OPTIONS=--threads=2 $(LAB) --binary build/slirp-forwarder $(PYTEST) -m 'not load' tests/e2e

# TSan needs addresses where older kernels put them (setarch -R).
build-tsan: deps ## the build with ThreadSanitizer, in build-tsan/
	@mkdir -p build-tsan; $(CONFIGURE) -B build-tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSF_SANITIZE_THREADS=ON >build-tsan/configure.log 2>&1 || { cat build-tsan/configure.log; exit 1; }
	@ninja -C build-tsan -j $(JOBS) slirp-forwarder unit_engine unit_flowlog delay_line

test-tsan: build-tsan ## what threads share, with ThreadSanitizer
	@setarch -R build-tsan/tests/unit_engine --gtest_filter='Mailbox*:*Shards*' --gtest_brief=1
	@setarch -R build-tsan/tests/unit_flowlog --gtest_filter='FlowLog*' --gtest_brief=1
	@setarch -R $(LAB) --binary build-tsan/slirp-forwarder $(PYTEST) -m core tests/e2e/test_threads.py

# By unit tests and the simulator. Programs of end-to-end tests are confined, and could not write the counts down.
coverage: deps ## which lines of src/ the unit tests and the simulator run, by folder (in build-coverage/)
	@mkdir -p build-coverage; $(CONFIGURE) -B build-coverage -DCMAKE_BUILD_TYPE=Debug -DSF_COVERAGE=ON >build-coverage/configure.log 2>&1 || { cat build-coverage/configure.log; exit 1; }
	@ninja -C build-coverage -j $(JOBS)
	@find build-coverage -name '*.gcda' -delete
	@SIM_SEEDS=200 ctest --test-dir build-coverage -j $(JOBS) -E '^fuzz_replay' >build-coverage/tests.log 2>&1 || { tail -20 build-coverage/tests.log; echo "some tests failed in this build; what ran is counted"; }
	@scripts/coverage.py build-coverage

sim: build ## the simulator over SEEDS seeds (default 2000)
	@SIM_SEEDS=$(SEEDS) build/tests/simulator

fuzz-ci: build-fuzz ## 60 seconds of fuzzing, all targets
	@fuzz/run.py --seconds 60 --jobs 2

# Not from the environment: in bash SECONDS is how long the shell has run.
fuzz: build-fuzz ## fuzz for SECONDS (default 600), or FUZZ=target alone
	@fuzz/run.py --seconds $(if $(filter command line,$(origin SECONDS)),$(SECONDS),600) $(FUZZ)

lint: build ## clang-tidy, cppcheck, formatting
	@scripts/lint.sh

format: ## format all C++ files in place
	@find src tests fuzz bench -name '*.cc' -o -name '*.hh' | xargs clang-format-16 -i

# BENCH="streams requests" measures a part; `make bench BENCH=help` names all.
bench: build ## the benchmark suite (BENCH="streams ...", ROUNDS=5): tables, targets, JSON and plots in build/bench/
	@mkdir -p build/bench; $(LAB) --binary build/slirp-forwarder world -- $(PYTHON) bench/suite.py --rounds $(ROUNDS) --output $(CURDIR)/build/bench $(BENCH)

bench-plots: ## draw the plots of docs/bench from the last run's JSON, or from JSON="a.json b.json"
	@$(PYTHON) bench/plots.py --output docs/bench $(or $(JSON),$(lastword $(sort $(wildcard build/bench/bench-*.json))))

bench-micro: build ## the micro-benchmarks: checksum, demultiplexer, flow look-up, TCP (MICRO: options of Google Benchmark)
	@build/bench/micro/bench_micro $(MICRO)

install: build ## install the program and its man page (DESTDIR and PREFIX as usual)
	@DESTDIR="$(DESTDIR)" cmake --install build $(if $(PREFIX),--prefix $(PREFIX))

clean: ## remove the builds
	@rm -rf build build-asan build-tsan build-fuzz build-coverage build-go
