# make demo     fit the four-hospital trial: one coordinator and four sites over gRPC, on this machine
# make test     every test
# make check    lint, types, import contracts, generated code up to date
# make bench    figures: likelihood, sums a fit, cost of the secure sums, many sites; with FLWR=1 beside flwr's SecAgg+
# make evaluate attacks: what a curious coordinator finds; each check deleted in turn; 1,000 fits over a hostile network
#               and among liars; 100 fits whose processes are killed
# make proto    generate the code of proto/ again

PYTHON ?= python3
BIN := .venv/bin
PROTO := proto/fedglmm_secure/wire/v1/exchange.proto
GENERATED := fedglmm_secure/wire/v1

.PHONY: install demo test check format bench evaluate proto clean

install: .venv/installed
demo: .venv/installed
	$(BIN)/fedglmm rehearse examples/indomethacin/study.toml \
	  --site 1_UM=examples/indomethacin/sites/1_UM.csv --site 2_IU=examples/indomethacin/sites/2_IU.csv \
	  --site 3_UK=examples/indomethacin/sites/3_UK.csv --site 4_Case=examples/indomethacin/sites/4_Case.csv \
	  --out rehearsal/indomethacin

test: .venv/installed-test
	$(BIN)/pytest -n 3 --dist worksteal

check: .venv/installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=.venv/proto --pyi_out=.venv/proto $(PROTO)
	diff -r -x '__pycache__' -x '__init__.py' .venv/proto/$(GENERATED) $(GENERATED)

format: .venv/installed-check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed-test $(if $(FLWR),.venv/flwr/installed)
	$(if $(FLWR),FLWR_PYTHON=.venv/flwr/bin/python )$(BIN)/python evaluation/performance/bench.py

evaluate: .venv/installed-test
	$(BIN)/python evaluation/security/run_mutants.py
	$(BIN)/python evaluation/security/search_transcript.py
	$(BIN)/python evaluation/security/hostile.py
	$(BIN)/python evaluation/robustness/crashes.py

proto: .venv/installed-check
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. $(PROTO)

clean:
	rm -rf .venv rehearsal

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || \
	  { echo "Python's venv is missing; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 2; }

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@
.venv/installed-test: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch .venv/installed $@
# An environment of its own, as flwr wants an older protobuf; its version, as the figures are of its inner functions.
.venv/flwr/installed: | .venv/bin/python
	$(BIN)/python -m venv .venv/flwr
	.venv/flwr/bin/python -m pip install --quiet --disable-pip-version-check flwr==1.41.0
	touch $@
.venv/installed-check: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[check]'
	mkdir -p .venv/proto
	touch .venv/installed $@
