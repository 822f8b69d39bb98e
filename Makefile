# Winnow. `make demo` shows it working, `make test` proves it.
PY := .venv/bin/python
STAMP := .venv/.installed

.PHONY: demo test serve check fix bench clean

$(STAMP): pyproject.toml winnow/pyproject.toml constraints.txt
	test -x $(PY) || python3 -m venv .venv
	$(PY) -m pip install --quiet --editable ./winnow --editable '.[worker,dev]' --constraint constraints.txt
	touch $@

demo: $(STAMP)        ## train a small network, compress it over HTTP, print before and after
	$(PY) -m examples.demo

test: $(STAMP)        ## everything, on real files, processes and servers
	$(PY) -m pytest --numprocesses 3 --dist worksteal

serve: $(STAMP)       ## the embedded service: API and workers, no Redis, no database server
	.venv/bin/winnow serve

check: $(STAMP)       ## read-only: format, lint, types, layers
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

fix: $(STAMP)         ## what `check` complains of and a tool can mend
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: bench-models bench-overhead bench-data bench-chaos bench-training bench-channel_groups bench-pruning bench-sparsity bench-low_rank bench-int8 bench-weight_only bench-packages bench-large bench-deep_compression bench-simplify bench-targets bench-runtimes bench-peers bench-hostile bench-sequences bench-forecast bench-faults bench-collapse bench-search bench-students bench-service bench-pages bench-replay bench-gate   ## every benchmark; each prints one table

bench-%: $(STAMP)     ## one benchmark
	$(PY) -m benchmarks.$*

clean:
	rm -rf .venv build winnow/build var demo-output
