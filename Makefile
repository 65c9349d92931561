# Builds, shows, tests and installs Open Sesame.
#
#   make demo       a session of its own, from the first vault to a crash
#   make test       formatting, lints, every test but those below
#   make test-systemd  the scenarios under a real user's service manager (root; two minutes)
#   make test-examples  the examples, with the programs that they are for
#   make pictures   the README's, from what test-examples sees
#   make campaign   random histories against a model, some; SEED=n and BUS=name repeat one
#   make soak       MINUTES=30 of them on both buses at once, and under systemd (as root)
#   make test-kills  KILLS (3000) of daemon-secrets and of a writer of its vaults, at random instants (an hour)
#   make test-secrecy  what the release programs leave in memory, on the bus, in /proc and in the logs
#   make fuzz       SECONDS (60) of each fuzz target; TARGETS=name for one
#   make bench      the release programs beside what would be used instead, in figures, into docs/; QUICK=1 for a short look
#   make test-instructions  whether a hot path of the release programs takes a tenth more instructions than docs/bench.json says
#   make order      services/order.ld and cli/order.ld anew: which functions lie side by side in a release
#   make install    PREFIX (/usr/local), DESTDIR, PROFILE (release, or dev); SECRET_SERVICE=1 also starts daemon-secrets
#                   for applications' secrets, with secret_service = true
#   make uninstall  with the same PREFIX and DESTDIR

CARGO ?= cargo
PROFILE ?= release
PREFIX ?= /usr/local
DESTDIR ?=

# cargo calls the folder of its profile dev "debug".
TARGET := $(or $(CARGO_TARGET_DIR),target)
BUILT ?= $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

# Every command below takes them apart at a space, and rm would remove what is named before it.
$(foreach folder,PREFIX DESTDIR,$(if $(word 2,$($(folder))),$(error $(folder) has a space in it ("$($(folder))"); choose another)))

# Written into files: never relative, and ~ is no shell's business here.
override PREFIX := $(abspath $(patsubst ~/%,$(HOME)/%,$(PREFIX)))
root := $(DESTDIR)$(PREFIX)

programs := sesame daemon-profile daemon-secrets
# Run by the bus alone, never by people.
helpers := sesame-prompter
services := $(patsubst systemd-user/%.in,%,$(wildcard systemd-user/org.opensesame.*.service.in))
# Another keyring may have installed its own file of this name: only on request, and only ours is removed.
applications := org.freedesktop.secrets.service
units := $(patsubst systemd-user/%.in,%,$(wildcard systemd-user/open-sesame*.service.in)) \
	$(notdir $(wildcard systemd-user/*.target))
interfaces := $(notdir $(wildcard dbus-interfaces/*.xml))

bin := $(root)/bin
service := $(root)/share/dbus-1/services
# A user's manager looks for units in the lib of the system's prefixes, and in the share of ~/.local.
unit := $(root)/$(if $(filter %/.local,$(PREFIX)),share,lib)/systemd/user
interface := $(root)/share/dbus-1/interfaces
# The journal reads catalogs of the whole system only.
catalog := $(if $(filter /usr /usr/local,$(PREFIX)),$(root)/lib/systemd/catalog)
# Only what belongs to the system is run by root: nothing below a user's home.
wide := $(filter /usr /usr/local,$(PREFIX))
libexecdir := $(PREFIX)/libexec/open-sesame
libexec := $(DESTDIR)$(libexecdir)
system := $(root)/lib/systemd/system
bash := $(root)/share/bash-completion/completions
zsh := $(root)/share/zsh/site-functions
fish := $(root)/share/fish/vendor_completions.d
man := $(root)/share/man

# Writes the files $(1) into the folder $(2), with the place of the programs. $(3) is where they come from.
fill = for name in $(1); do \
	sed 's|@bindir@|$(PREFIX)/bin|; s|@libexecdir@|$(libexecdir)|' $(or $(3),systemd-user)/$$name.in >$(2)/$$name && \
	chmod 644 $(2)/$$name || exit; done

.PHONY: help build demo test test-systemd test-examples pictures campaign soak test-kills test-secrecy test-instructions fuzz \
	bench order install uninstall check-deps

help:
	@sed -n 's/^#   //p' Makefile

# sesame has the C library in it where the compiler has that: a start is a quarter shorter so. The daemons start once, and
# share the library's memory.
static := $(if $(filter release,$(PROFILE)),$(if $(filter /%,$(shell cc -print-file-name=libc.a)),-C target-feature=+crt-static))
build:
	$(CARGO) build --locked --profile $(PROFILE) $(patsubst %,-p %,$(filter-out sesame,$(programs)) $(helpers)) --bins
	$(CARGO) build --locked --profile $(PROFILE) -p sesame --example manual
	$(CARGO) rustc --locked --profile $(PROFILE) -p sesame --bin sesame -- $(static)

demo:
	@tests/check-deps demo
	$(CARGO) build --locked --workspace --bins
	@tests/demo $(TARGET)/debug

check-deps:
	@tests/check-deps test

test: check-deps
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) build --locked --workspace
	$(CARGO) test --locked --workspace --no-fail-fast
	$(CARGO) test --locked --workspace --lib killed_at -- --ignored
	[ "$$(id -u)" -ne 0 ] || $(CARGO) test --locked -p vault-store --test full_disk -- --ignored

# Root makes the sessions, which are an ordinary user's. What cannot run says so by name, as ignored.
test-systemd:
	@tests/check-deps test-systemd
	$(CARGO) clippy --locked -p session-tests --test supervised -- -D warnings
	$(CARGO) build --locked --workspace --bins
	$(CARGO) build --locked -p sesame --example manual
	timeout --kill-after=10 900 $(CARGO) test --locked -p session-tests --test supervised
	timeout --kill-after=10 300 $(CARGO) test --locked -p session-tests --test campaign -- --supervised 0.7

# What is missing is skipped by name where check-deps may not install it.
test-examples:
	@tests/check-deps test-examples
	$(CARGO) clippy --locked -p session-tests --test widgets -- -D warnings
	$(CARGO) build --locked --workspace --bins
	timeout --kill-after=10 600 $(CARGO) test --locked -p session-tests --test widgets

# A real terminal and a real bar, as the tests have them on a screen of their own.
pictures: test-examples
	install -m 644 $(TARGET)/tmp/status.png $(TARGET)/tmp/waybar.png $(TARGET)/tmp/prompt.png docs

# A failed history is repeated by its seed: SEED=n BUS=dbus-broker make campaign. The rules alone, millions of steps:
# SESAME_MODEL_STEPS=5000000 make campaign
ifdef SEED
export SESAME_TEST_SEED := $(SEED)
export BUS
endif
campaign:
	@tests/check-deps test
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked -p session-tests --test campaign -- --nocapture

soak:
	@tests/check-deps test-systemd
	$(CARGO) build --locked --workspace --bins
	$(CARGO) build --locked -p sesame --example manual
	$(CARGO) test --locked -p session-tests --test campaign -- --soak $(or $(MINUTES),30)

# The scenarios and the store read the seed, and how often, from the environment.
test-kills: KILLS ?= 3000
test-kills:
	@tests/check-deps test
	$(CARGO) build --locked --workspace --bins
	SESAME_TEST_KILLS=$(KILLS) $(CARGO) test --locked --workspace --lib killed_at -- --ignored --nocapture
	SESAME_TEST_KILLS=$(KILLS) SESAME_TEST_LIMIT=86400 $(CARGO) test --locked -p session-tests --test scenarios killed_at

# Other than in a debug build, values live in registers and where the optimiser puts them.
test-secrecy:
	@tests/check-deps test
	$(MAKE) build PROFILE=release
	SESAME_TEST_PROGRAMS=$(abspath $(TARGET)/release) \
		$(CARGO) test --locked -p session-tests --test scenarios forgotten

# What fails is repeated as it says at its end.
fuzz:
	@tests/check-deps fuzz
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml -p fuzz --check
	CARGO=$(CARGO) fuzz/run $(or $(SECONDS),60) $(TARGETS)

# Figures only: nothing fails by time. Of installed programs: what a linker wrote lies in the page cache in small pieces, and
# starts slower until it is read from the disk again.
bench:
	@tests/check-deps bench
	$(MAKE) build PROFILE=release
	$(CARGO) build --locked --release -p session-tests --example bench
	install -D -m 755 -t $(TARGET)/installed $(patsubst %,$(TARGET)/release/%,$(programs) $(helpers))
	install -D -m 755 -t $(TARGET)/installed/examples $(TARGET)/release/examples/manual
	SESAME_TEST_PROGRAMS=$(TARGET)/installed \
		$(TARGET)/release/examples/bench docs/bench.json $(if $(filter 1,$(QUICK)),$(TARGET)/bench.json $(TARGET),docs/bench.json docs)

test-instructions:
	@tests/check-deps bench
	$(MAKE) build PROFILE=release
	$(CARGO) build --locked -p session-tests --example bench
	SESAME_TEST_PROGRAMS=$(abspath $(TARGET)/release) $(TARGET)/debug/examples/bench --instructions docs/bench.json

# In a folder of their own: with their symbols, and in any order, where valgrind finds them.
order: export ANY_ORDER := 1
order: export CARGO_PROFILE_RELEASE_STRIP := none
order:
	@tests/check-deps bench
	$(CARGO) build --locked --release --target-dir $(TARGET)/order -p daemon-profile -p daemon-secrets --bins
	$(CARGO) rustc --locked --release --target-dir $(TARGET)/order -p sesame --bin sesame -- $(static)
	$(CARGO) build --locked -p session-tests --example order
	SESAME_TEST_PROGRAMS=$(TARGET)/order/release $(TARGET)/debug/examples/order services/order.ld cli/order.ld

install: build
	install -d $(bin) $(service) $(unit) $(interface) $(bash) $(zsh) $(fish) $(man)/man1 $(man)/man5
	install -m 755 $(programs:%=$(BUILT)/%) $(bin)
	install -d $(libexec)
	install -m 755 $(helpers:%=$(BUILT)/%) $(libexec)
	$(call fill,$(services) $(if $(filter 1,$(SECRET_SERVICE)),$(applications)),$(service))
	$(call fill,$(filter %.service,$(units)),$(unit))
	install -m 644 $(addprefix systemd-user/,$(filter %.target,$(units))) $(unit)
	install -m 644 $(interfaces:%=dbus-interfaces/%) $(interface)
ifneq ($(catalog),)
	install -d $(catalog)
	install -m 644 systemd-user/open-sesame.catalog $(catalog)
	[ -n "$(DESTDIR)" ] || ! command -v journalctl >/dev/null || journalctl --update-catalog
endif
ifneq ($(wide),)
	install -d $(system)
	$(call fill,sesame-pam-unlock,$(libexec),pam)
	chmod 755 $(libexec)/sesame-pam-unlock
	$(call fill,open-sesame-unlock-user@.service,$(system),systemd-system)
endif
	$(BUILT)/sesame completions bash >$(bash)/sesame
	$(BUILT)/sesame completions zsh >$(zsh)/_sesame
	$(BUILT)/sesame completions fish >$(fish)/sesame.fish
	$(BUILT)/examples/manual $(man)

uninstall:
	! grep -qs open-sesame $(service)/$(applications) || rm -f $(service)/$(applications)
	rm -f $(programs:%=$(bin)/%) $(helpers:%=$(libexec)/%) $(services:%=$(service)/%) $(units:%=$(unit)/%) $(interfaces:%=$(interface)/%)
ifneq ($(catalog),)
	rm -f $(catalog)/open-sesame.catalog
	[ -n "$(DESTDIR)" ] || ! command -v journalctl >/dev/null || journalctl --update-catalog
endif
ifneq ($(wide),)
	rm -f $(libexec)/sesame-pam-unlock $(system)/open-sesame-unlock-user@.service
endif
	rm -f $(bash)/sesame $(zsh)/_sesame $(fish)/sesame.fish $(man)/man1/sesame.1 $(man)/man1/sesame-*.1 \
		$(man)/man5/open-sesame-config.5 $(man)/man5/org.opensesame.5
