# What a stranger types: `make demo` and `make test`. Both set up what is missing, once, and say what they do.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# command:package, for the parts that are real: DHCP server, WireGuard, firewall, pictures; then for tests and peers.
TOOLS := ip:iproute2 nft:nftables dnsmasq:dnsmasq-base wg:wireguard-tools wireguard-go:wireguard-go dot:graphviz \
	ping:iputils-ping nsenter:util-linux
TEST_TOOLS := udhcpc:udhcpc sysctl:procps curl:curl radvd:radvd openssl:openssl
BENCH_TOOLS := udhcpc:udhcpc dhclient:isc-dhcp-client dhcpcd:dhcpcd-base /lib/systemd/systemd-networkd:systemd \
	sysctl:procps

.PHONY: demo test check bench diagrams setup system test-system bench-system clean

demo: setup
	$(BIN)/zosfsm lab demo

test: setup test-system
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/zosfsm diagrams --check
	$(BIN)/python -m pytest -q tests/test_readme.py

bench: setup bench-system
	$(BIN)/python -m bench

diagrams: setup
	$(BIN)/zosfsm diagrams

setup: system $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "setting up $(VENV): a virtual environment with the versions of constraints.txt"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "expected Python 3.11 or later, found $$($(PYTHON) -V): set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "installing python3-venv"; apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends python3-venv >/dev/null && $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[development,postgresql]'
	@$(BIN)/python -m compileall -q zosfsm
	@touch $(READY)

system:
	@$(call install,$(TOOLS))

test-system:
	@$(call install,$(TEST_TOOLS))

bench-system:
	@$(call install,$(BENCH_TOOLS))

# Installs the packages whose commands are missing; says which, and what to do where that is not possible.
define install
	PATH="$$PATH:/usr/sbin:/sbin"; missing=""; \
	for tool in $(1); do command -v "$${tool%%:*}" >/dev/null || missing="$$missing $${tool##*:}"; done; \
	test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" != 0 ]; then echo "these packages are missing:$$missing; as root: apt-get install$$missing"; exit 1; fi; \
	echo "installing the packages that are missing:$$missing"; \
	apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing >/dev/null
endef

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
