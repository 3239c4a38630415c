# `make` prints the targets. Everything that is installed goes into this folder; nothing global is touched.

SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

FORGE := contracts/tools/forge
NODE_MODULES := contracts/node_modules/.package-lock.json
PYTHON ?= python3
ANALYSERS := contracts/.venv/.installed
STEP := .ci/step

# All of cargo's work shares one profile: build scripts and procedural macros are then compiled once, and the tests
# reuse what the demo compiled.
CARGO_FLAGS := --locked --release --workspace

.PHONY: help
help: ## Print the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run a whole arena on this machine (needs Rust alone).
	cargo run --locked --release -- demo

.PHONY: test
test: needs setup check-fmt lint test-contracts check-mutants check-abi check-gas bench-gas slither halmos test-rust doc ## Run every check, as CI does.
	@printf '\nAll checks passed.\n'

.PHONY: setup
setup: needs $(NODE_MODULES) ## Install the Solidity toolchain into contracts/node_modules.

.PHONY: fmt
fmt: setup ## Format the Rust and the Solidity code.
	cargo fmt --all
	$(FORGE) fmt src test bench symbolic

.PHONY: check-fmt
check-fmt: setup ## Check the formatting.
	@$(STEP) 'Rust formatting' cargo fmt --all --check
	@$(STEP) 'Solidity formatting' $(FORGE) fmt --check src test bench symbolic

.PHONY: lint
lint: setup ## Run clippy and Forge's linter; warnings are errors.
	@$(STEP) 'Solidity lints' $(FORGE) lint
	@$(STEP) 'Rust lints' cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

.PHONY: test-contracts
test-contracts: setup ## Run the Solidity tests: unit, fuzz, invariants.
	@$(STEP) 'Solidity tests' $(FORGE) test

.PHONY: test-rust
test-rust: setup ## Run the Rust tests (some of them run Anvil or the committed bytecode).
	@$(STEP) 'Rust tests' cargo test $(CARGO_FLAGS)

.PHONY: faults
faults: ## Play N schedules of faults against journals, and N against daemons (N=10000; SEED=1 is the first).
	@$(STEP) 'schedules of faults' env FAULTS=$(or $(N),10000) FAULTS_SEED=$(or $(SEED),1) \
		cargo test $(CARGO_FLAGS) --test journal --test daemon seeded_faults

.PHONY: deep
deep: setup ## Run the fuzz and invariant tests with many more and other inputs (takes long; SEED=1 for the same again).
	@$(STEP) 'Solidity tests, deep' env FOUNDRY_PROFILE=deep $(FORGE) test
	@$(STEP) 'Rust tests, deep' env PROPTEST_CASES=20000 PROPTEST_RNG_SEED=$(or $(SEED),$(shell echo $$RANDOM)) cargo test $(CARGO_FLAGS)

.PHONY: abi
abi: setup ## Write contracts/abi from the Solidity source.
	node contracts/tools/abi.mjs

.PHONY: check-abi
check-abi: setup ## Check that contracts/abi matches the Solidity source.
	@$(STEP) 'ABI and bytecode' node contracts/tools/abi.mjs --check

.PHONY: gas
gas: ## Print the gas of every action, from the committed snapshots.
	@awk -F '"' 'FNR == 1 { n = split(FILENAME, part, "/"); sub(/\.json$$/, "", part[n]); printf "\n%s\n", part[n] } \
		NF >= 5 { printf "  %-48s %12s\n", $$2, $$4 }' contracts/snapshots/*.json

.PHONY: snapshot
snapshot: setup ## Measure the gas of every action again and write contracts/snapshots.
	rm -rf contracts/snapshots
	FORGE_SNAPSHOT_EMIT=true $(FORGE) test --match-path 'test/gas/*'

.PHONY: check-gas
check-gas: setup ## Check that the gas snapshots match the Solidity source.
	@$(STEP) 'gas snapshots' contracts/tools/check-gas

.PHONY: bench-gas
bench-gas: setup ## Compare the gas of our calls with that of published contracts and with limits.
	@$(STEP) 'gas beside published contracts' node contracts/tools/bench-gas.mjs

.PHONY: slither
slither: setup $(ANALYSERS) ## Analyse the contracts with Slither; contracts/slither.md explains what it may find.
	@$(STEP) 'static analysis' node contracts/tools/slither.mjs

.PHONY: halmos
halmos: setup $(ANALYSERS) ## Prove properties of the libraries with Halmos; contracts/symbolic.md says which (takes two minutes).
	@$(STEP) 'symbolic proofs' node contracts/tools/halmos.mjs

.PHONY: mutants
mutants: setup ## Test the tests of the vault and the libraries, from where the last run ended (takes hours: N=100 for that many).
	@$(STEP) 'mutation tests' node contracts/tools/mutants.mjs

.PHONY: check-mutants
check-mutants: setup ## Check that contracts/mutants.md tells what contracts/mutants.jsonl holds.
	@$(STEP) 'report of the mutation tests' env REPORT=1 node contracts/tools/mutants.mjs

.PHONY: doc
doc: ## Build the Rust documentation; warnings are errors.
	@RUSTDOCFLAGS='-D warnings' $(STEP) 'Rust documentation' cargo doc $(CARGO_FLAGS) --no-deps

.PHONY: clean
clean: ## Remove everything that was built or installed.
	rm -rf target contracts/out contracts/cache contracts/node_modules contracts/.venv

.PHONY: needs
needs:
	@.ci/needs

$(NODE_MODULES): contracts/package.json contracts/package-lock.json
	@$(STEP) 'Solidity toolchain' npm --prefix contracts ci --no-progress --loglevel=error
	@touch $@

$(ANALYSERS): contracts/tools/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "the analysers need Python 3.11 or newer")'
	@rm -rf contracts/.venv
	@$(STEP) 'analysers of the contracts' sh -c '$(PYTHON) -m venv contracts/.venv && \
		contracts/.venv/bin/pip install --quiet --require-hashes --requirement contracts/tools/requirements.txt'
	@touch $@
