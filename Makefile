# Two commands matter: `make run` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOLS := .tools
FIXTURE := target/fixtures/full-size-distilbert
SAMPLES := samples/history.ndjson samples/payments.ndjson

.PHONY: help
help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.PHONY: run
run: build ## Fetches ONNX Runtime, builds, and serves on 127.0.0.1:8080
	exec target/release/weir serve

.PHONY: build
build: onnxruntime ## ONNX Runtime in place and target/release/weir built
	cargo build --release --locked --bin weir

.PHONY: onnxruntime
onnxruntime:
	@scripts/fetch-onnxruntime

.PHONY: test
test: onnxruntime fixtures ## Runs every test
	cargo test --workspace --locked

.PHONY: fixtures
fixtures: $(FIXTURE)/golden.jsonl

# A full-size random DistilBERT in the layout of an optimum export, too large for git. numpy and
# onnx are enough to make it and to compute its golden logits.
$(FIXTURE)/golden.jsonl: models/training/fixtures/full_size_distilbert.py
	scripts/python-tools numpy==2.3.5 onnx==1.20.0
	$(TOOLS)/python/bin/python models/training/fixtures/full_size_distilbert.py $(FIXTURE)

.PHONY: check
check: ## Format, lints, documentation, floors and licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	$$(scripts/fetch-cargo-deny) check bans licenses sources

.PHONY: models
models: build ## Simulates, trains and packages both models (hours on two cores)
	models/training/make_models.sh

.PHONY: screen-samples
screen-samples: build ## Screens the shipped sample without a server
	target/release/weir screen --warm samples/history.ndjson samples/payments.ndjson

.PHONY: bench-cascade
bench-cascade: build ## Mean time per transaction: two tiers against tier 2 alone, in one run
	target/release/weir screen --warm samples/history.ndjson --compare 200 samples/payments.ndjson
	@scripts/package-sizes models/screening/package.toml

.PHONY: bench-tier1
bench-tier1: build ## Tier 1 against the hardware's limit and other servers, in one run: ARGS=--quick
	benches/tier1/graphs/make
	benches/tier1/peers/environment
	cargo run --release --locked -p benches --bin bench-tier1 -- $(ARGS)

.PHONY: bench-tier2
bench-tier2: build ## Tier 2 against the bare graph and llama.cpp, and what it does to tier 1: ARGS=--quick
	benches/tier2/graphs/make
	benches/tier2/peers/environment
	cargo run --release --locked -p benches --bin bench-tier2 -- $(ARGS)
	cargo test --locked -p screening --test texts -- --nocapture --test-threads 1
	cargo test --locked -p server --test shipped no_injection -- --nocapture

.PHONY: bench-crash
bench-crash: build ## Kills the service 100 times under load, on SQLite and on PostgreSQL: ARGS="--rounds 10"
	cargo build --release --locked -p benches --bin bench-crash
	target/release/bench-crash $(ARGS)
	scripts/with-postgres bash -c 'target/release/bench-crash --postgres-url-file "$$POSTGRES_URL_FILE" $(ARGS)'

.PHONY: bench-replay
bench-replay: build ## Records 10,000 decisions under load on each store and recomputes all of them
	benches/replay/run $(ARGS)
	scripts/with-postgres bash -c 'benches/replay/run --postgres-url-file "$$POSTGRES_URL_FILE" $(ARGS)'

.PHONY: bench-parts
bench-parts: onnxruntime ## Scheduler, JSON, velocity, template and tokens alone
	cargo bench --locked -p benches

.PHONY: bench-cardstream
bench-cardstream: build ## Streams a public card data set through Weir: DATA=handbook.parquet
	benches/cardstream/run $(DATA)

.PHONY: bench-quality
bench-quality: build ## Decision quality on the public card stream, beside other models: DATA=handbook.parquet
	benches/quality/run $(DATA) $(ARGS)

.PHONY: models-cardstream
models-cardstream: build ## Trains and packages both models of the public card stream: DATA=handbook.parquet
	models/training/make_cardstream.sh $(DATA)

.PHONY: test-training
test-training: ## Tests of the training code and the quality bench (installs PyTorch)
	scripts/training-tests

.PHONY: clean
clean: ## Removes what was built; keeps ONNX Runtime
	cargo clean
