# Everything a user types: make demo, make test, make docs. All in one environment, .venv, from the one lock, requirements.txt.
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
# Real cohorts of `make results`: folders that you downloaded, see docs/results.md.
STS ?= data/sts
RADCURE ?= data/radcure
HNPETCT ?= data/hn-pet-ct

# With check-weights: a CT of a head and neck, and your configuration.
CT ?= ct.nii.gz
CONFIG ?=

# With docs: results of a run whose report becomes part of the site.
EXAMPLE ?= demo/results

# With test: more options of pytest, such as --cov for the coverage.
PYTEST ?=

.PHONY: install demo demo-organs check-weights test test-long results results-radcure results-external results-sts lint format lock schema docs clean

install: .venv/.installed

# The project itself comes last and without dependencies: the lock names them all.
.venv/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/pip check
	touch $@

demo: install
	$(BIN)/metaswin simulate --out demo/data -n 40 --preset demo --seed 1 --matrix 72 --coverage 96 --draws 100000 --jobs $(CORES)
	$(SNAKEMAKE) --directory demo --configfile config/demo.yaml -- all
	@echo "The report: $(CURDIR)/demo/results/report/report.html"

# The real TotalSegmentator on simulated patients, with stand-ins for its weights: labels are bands of HU, not organs.
demo-organs: install
	rm -rf demo-organs
	$(BIN)/metaswin simulate --out demo-organs/data -n 4 --matrix 64 --coverage 96 --draws 2000 > /dev/null
	$(BIN)/metaswin simulate-weights --out demo-organs/weights --fast total
	$(SNAKEMAKE) --directory demo-organs --configfile config/demo.yaml config/demo-organs.yaml -- pictures anatomy
	@echo "QC images with the organs' contours: $(CURDIR)/demo-organs/results/qc-images"

# Your CT and your weights: organ volumes against published ranges.
check-weights: install
	$(BIN)/metaswin weights check --ct $(CT) $(if $(CONFIG),--configfile $(CONFIG))

# As many processes as cores: more threads in each would wait for one another.
test test-long: export OMP_NUM_THREADS := 1
test test-long: export OPENBLAS_NUM_THREADS := 1

test: install
	$(BIN)/pytest -m "not long" -n $(CORES) --dist loadfile --no-loadscope-reorder $(PYTEST)

test-long: install
	$(BIN)/pytest -m long -n $(CORES) --dist loadfile --no-loadscope-reorder

results: results-radcure results-sts

results-radcure: install
	$(SNAKEMAKE) --directory runs/radcure --configfile config/examples/radcure-clinical.yaml \
		--config 'data={"root": "$(abspath $(RADCURE))"}' -- all

# Trained on RADCURE, tried on Head-Neck-PET-CT: as one cohort, and as its four centres (the ids begin with the centre).
EXTERNAL := runs/external
CENTRES := CHUM CHUS HGJ HMR
EXTERNAL_PREDICT := $(BIN)/metaswin predict --bundle $(EXTERNAL)/radcure/results/bundle.zip \
	--settings config/examples/hn-pet-ct.yaml --cores $(CORES)

results-external: install
	$(SNAKEMAKE) --directory $(EXTERNAL)/radcure --configfile config/examples/radcure-staging.yaml \
		--config 'data={"root": "$(abspath $(RADCURE))"}' -- bundle
	$(EXTERNAL_PREDICT) --clinical $(HNPETCT)/clinical.csv --output $(EXTERNAL)/hn-pet-ct > $(EXTERNAL)/hn-pet-ct.log
	$(BIN)/metaswin validate --output $(EXTERNAL)/hn-pet-ct
	set -e; for centre in $(CENTRES); do \
		sed -n "1p;/^HN-$$centre-/p" $(HNPETCT)/clinical.csv > $(EXTERNAL)/$$centre.csv; \
		$(EXTERNAL_PREDICT) --clinical $(EXTERNAL)/$$centre.csv --output $(EXTERNAL)/$$centre > $(EXTERNAL)/$$centre.log; \
	done
	$(BIN)/metaswin validate --output $(CENTRES:%=$(EXTERNAL)/%) --pooled $(EXTERNAL)/centres

results-sts: install
	$(SNAKEMAKE) --directory runs/sts --configfile config/examples/soft-tissue-sarcoma.yaml \
		--config 'data={"root": "$(abspath $(STS))"}' -- all

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/lint-imports
	$(BIN)/mypy --cache-dir .mypy_cache
	$(BIN)/metaswin simulate --out .lint/data -n 2 --matrix 48 --coverage 90 --draws 1000 > /dev/null
	$(BIN)/snakemake --directory .lint --configfile config/demo.yaml --lint

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow/rules

# config/config.yaml and the JSON Schema, from the settings' models.
schema: install
	$(BIN)/metaswin schema --write

# The documentation site: docs/_build/html/index.html. It contains the report and the quality control of EXAMPLE if that run
# exists (after `make demo`). Warnings are errors; nothing is downloaded.
docs: install
	METASWIN_EXAMPLE=$(abspath $(EXAMPLE)) $(BIN)/python -m sphinx -E -W --keep-going -q -b html docs docs/_build/html
	@echo "The site: $(CURDIR)/docs/_build/html/index.html"

# Resolve the newest versions that pyproject.toml allows and write them down without local suffixes such as +cpu.
lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --upgrade pip
	.venv-lock/bin/pip install --quiet --editable '.[workflow,dev]'
	sed -n '/^#/p' requirements.txt > requirements.new
	.venv-lock/bin/pip freeze --all --exclude-editable --exclude pip | sed -E 's/\+[A-Za-z0-9.]+$$//' >> requirements.new
	mv requirements.new requirements.txt
	rm -rf .venv-lock

clean:
	rm -rf demo demo-organs results private logs runs .lint docs/_build
