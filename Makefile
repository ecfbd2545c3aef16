# tlsbroker: "make help" says what there is.
#
# One file, no configure: pkg-config finds the libraries, folders find the sources.  A second build
# with other flags goes into another folder: make B=build-debug CFLAGS='-O0 -g'

B        ?= build
CC       ?= cc
PREFIX   ?= /usr/local
VERSION  := 0.1.0
SOVER    := 0
WERROR   ?= -Werror

LIBDIR   ?= $(PREFIX)/lib
SBINDIR  ?= $(PREFIX)/sbin
BINDIR   ?= $(PREFIX)/bin
INCDIR   ?= $(PREFIX)/include
MANDIR   ?= $(PREFIX)/share/man
UNITDIR  ?= $(PREFIX)/lib/systemd/system

WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef $(WERROR)
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fstack-clash-protection
CFLAGS   ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DTLSB_VERSION='"$(VERSION)"' -Iinclude -Isrc -I. $(WARN) \
             $(if $(SANITIZE),-DSANDBOX_CAN_BE_OFF $(SANITIZE),$(HARDEN)) -fvisibility=hidden \
             -MMD -MP $(CFLAGS) $(MORE_CFLAGS)
ALL_LDFLAGS = $(SANITIZE) -Wl,-z,relro,-z,now $(LDFLAGS)

PKGS     := openssl libevent_core libseccomp libsystemd libcares libconfuse
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS))
PKG_LIBS   = $(shell pkg-config --libs $(PKGS))

# The library sees base, wire and ring, and of wire not the event loop's part.
LIB_SRC  := $(wildcard libtlsbroker/*.c) src/base/fd.c src/base/pin.c src/base/text.c \
            src/wire/msg.c src/wire/errors.c src/wire/reach.c src/wire/roles.c $(wildcard src/ring/*.c)
SRC      := $(wildcard src/*.c src/*/*.c)
CLI_SRC  := $(wildcard tools/*.c)
UNIT_SRC := $(wildcard tests/unit/*.c tests/hostile/*.c tests/sandbox/*.c)
FUZZ_SRC := $(filter-out tests/fuzz/stage.c tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c))

LIB_OBJ  := $(LIB_SRC:%.c=$(B)/pic/%.o)
OBJ      := $(SRC:%.c=$(B)/%.o)
CLI_OBJ  := $(CLI_SRC:%.c=$(B)/%.o)
UNITS    := $(UNIT_SRC:%.c=$(B)/%)
SO       := $(B)/libtlsbroker.so.$(VERSION)
LINKS    := $(B)/libtlsbroker.so.$(SOVER) $(B)/libtlsbroker.so
EXAMPLES := $(patsubst %.c,$(B)/%,$(wildcard examples/*.c))
HELPERS  := $(patsubst %.c,$(B)/%,$(wildcard tests/lib/*.c))
FUZZERS  := $(FUZZ_SRC:%.c=$(B)/%)
BENCHES  := $(patsubst %.c,$(B)/%,$(wildcard bench/*.c))

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2);)

all: $(B)/tlsbrokerd $(B)/tlsbroker-cli $(SO) $(LINKS) $(B)/libtlsbroker.a $(EXAMPLES) ## build everything
.PHONY: all
.DELETE_ON_ERROR:

$(B)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -fPIC -c -o $@ $<

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) $(PKG_CFLAGS) -fPIE -c -o $@ $<

# What is tested has the flags that it is installed with; the tests themselves take most of a build's
# time, and are soon done anyway: .ci/check does not have them optimized, but for those that move gibibytes.
$(B)/tests/%.o: MORE_CFLAGS = $(TEST_CFLAGS)
$(B)/tests/lib/%.o: MORE_CFLAGS = $(HELPER_CFLAGS)

$(B)/tlsbrokerd: $(OBJ)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(PKG_LIBS)

$(SO): $(LIB_OBJ) libtlsbroker/libtlsbroker.map
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,libtlsbroker.so.$(SOVER) \
		$(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) \
		-Wl,--version-script,libtlsbroker/libtlsbroker.map -Wl,--gc-sections -o $@ $(LIB_OBJ)
comma := ,

$(LINKS): $(SO)
	$(Q)ln -sf $(notdir $(SO)) $@

# One object, its inner names made local, so that a static program sees only tlsb_*.
$(B)/libtlsbroker.a: $(LIB_OBJ)
	$(call say,AR,$@)ld -r -o $(B)/libtlsbroker-all.o $^ && \
		objcopy --localize-hidden $(B)/libtlsbroker-all.o && \
		rm -f $@ && ar rcs $@ $(B)/libtlsbroker-all.o

# The command line tool is a user of the library, and of the wire for "status".
$(B)/tlsbroker-cli: $(CLI_OBJ) $(B)/libtlsbroker.a $(addprefix $(B)/,src/wire/msg.o src/wire/errors.o src/wire/reach.o src/wire/roles.o src/base/fd.o src/base/text.o)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(shell pkg-config --libs jansson)

$(B)/examples/%: examples/%.c $(SO) $(LINKS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< -L$(B) -ltlsbroker -Wl,-rpath,'$$ORIGIN/..'

# Unit tests link every object of the daemon but main's, and the library's own: a hundred times, which gold
# does in a third of the time.  Those of the library and its rings have nothing but what the library has.
TEST_LD := $(if $(shell command -v ld.gold),-fuse-ld=gold)
TESTED := $(filter-out $(B)/src/main.o,$(OBJ)) $(filter $(B)/pic/libtlsbroker/%,$(LIB_OBJ))
OF_LIB := $(filter $(B)/tests/unit/ring_% $(B)/tests/unit/lib_%,$(UNITS))
$(OF_LIB): $(LIB_OBJ)
$(filter-out $(OF_LIB),$(UNITS)): $(TESTED)
$(UNITS): %: %.o
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) $(TEST_LD) $(WRAP) -pie -o $@ $^ $(PKG_LIBS) $(shell pkg-config --libs cmocka)

# What tests/hostile/faults.h makes fail.
$(B)/tests/hostile/faults_%: WRAP = $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc reallocarray \
	asprintf __asprintf_chk recvmsg sendmsg recv recvfrom send pread pwrite memfd_create ftruncate mmap madvise \
	fcntl fstat getsockopt setsockopt getsockname getpeername shutdown getrlimit accept4 socket socketpair \
	connect poll fork open inotify_init1 inotify_add_watch)

# Fuzz targets: the same objects, but the kernel and the event loop that they see are tests/fuzz/stage.c's.
# main is replay.c's, which runs over the seeds; or libFuzzer's (.ci/fuzz).
FUZZ_MAIN ?= $(B)/tests/fuzz/replay.o
STAGED = $(shell sed -nE 's/^REAL.[^,]*, ([A-Za-z0-9_]+),.*/\1/p' tests/fuzz/stage.c tests/fuzz/$(@F).c)
$(FUZZERS): %: %.o $(B)/tests/fuzz/stage.o $(TESTED) $(filter %.o,$(FUZZ_MAIN)) tests/fuzz/stage.c
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) $(TEST_LD) -pie -o $@ $(filter %.o,$^) $(filter-out %.o,$(FUZZ_MAIN)) \
		$(STAGED:%=-Wl$(comma)--wrap=%) $(PKG_LIBS) $(shell pkg-config --libs jansson)

# Programs that the system tests and benchmarks run; they use the public library as anybody would.
# Those that use only one of it and OpenSSL get nothing of the other.
$(B)/tests/lib/%: $(B)/tests/lib/%.o $(B)/libtlsbroker.a
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(shell pkg-config --libs openssl)
# The daemon, but for its worker: main.c gets another one.
TREASON := $(patsubst %.c,$(B)/%.o,tests/lib/turncoat.c $(wildcard tests/lib/treason/*.c))
$(B)/tests/lib/turncoat: $(TREASON) $(OBJ)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=main,--wrap=worker_ops -pie -o $@ $^ $(PKG_LIBS)
$(B)/bench/conduct: $(B)/bench/lib/usage.o
$(B)/bench/%: $(B)/bench/%.o $(B)/libtlsbroker.a
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -pie -Wl,--as-needed -o $@ $^ $(shell pkg-config --libs openssl)

units: $(UNITS) $(FUZZERS) ## build the unit tests
helpers: $(HELPERS) ## build the programs that the system tests run
benches: $(BENCHES) ## build the benchmarks
fuzzers: $(FUZZERS)
.PHONY: units helpers benches fuzzers

install: all ## copy what was built below $(DESTDIR)$(PREFIX)
	install -d $(addprefix $(DESTDIR),$(SBINDIR) $(BINDIR) $(LIBDIR)/pkgconfig $(INCDIR) \
		$(MANDIR)/man1 $(MANDIR)/man3 $(MANDIR)/man5 $(MANDIR)/man7 $(MANDIR)/man8 $(UNITDIR))
	install -m 755 $(B)/tlsbrokerd $(DESTDIR)$(SBINDIR)
	install -m 755 $(B)/tlsbroker-cli $(DESTDIR)$(BINDIR)
	install -m 755 $(SO) $(DESTDIR)$(LIBDIR)
	ln -sf $(notdir $(SO)) $(DESTDIR)$(LIBDIR)/libtlsbroker.so.$(SOVER)
	ln -sf libtlsbroker.so.$(SOVER) $(DESTDIR)$(LIBDIR)/libtlsbroker.so
	install -m 644 $(B)/libtlsbroker.a $(DESTDIR)$(LIBDIR)
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCDIR@|$(INCDIR)|; s|@VERSION@|$(VERSION)|' \
		libtlsbroker/tlsbroker.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/tlsbroker.pc
	install -m 644 include/tlsbroker.h $(DESTDIR)$(INCDIR)
	for page in man/*.[1-8]; do \
		install -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.} || exit 1; done
	for page in man/*.3; do for name in $$(sed -n 's/^\.Nm \([a-z_]*\) ,*$$/\1/p; s/^\.Nm \([a-z_]*\)$$/\1/p' $$page); do \
		[ -e man/$$name.3 ] || echo ".so man3/$${page##*/}" > $(DESTDIR)$(MANDIR)/man3/$$name.3 || exit 1; done; done
	sed 's|@SBINDIR@|$(SBINDIR)|' systemd/tlsbrokerd.service.in > $(DESTDIR)$(UNITDIR)/tlsbrokerd.service
	install -m 644 systemd/tlsbrokerd.socket $(DESTDIR)$(UNITDIR)
.PHONY: install

demo: ## install what is missing, build, and show a verified session through the broker
	@.ci/demo
check: ## install what is missing, run every test, end with one summary line
	@B=$(B) .ci/check
coverage: ## which branches the tests take
	@B=$(B) .ci/coverage
abuse: ## every attack at full length, and how many were survived
	@B=$(B) .ci/abuse
fuzz: ## look for inputs that break something: SECONDS=60 for each target, two at a time
	@FUZZ_SECONDS=$(or $(SECONDS),60) .ci/fuzz
check-nspawn: all helpers ## the units under a real systemd (root)
	@B=$(B) tests/nspawn/run
soak: ## hundreds of users for SECONDS=600, and what grows meanwhile
	@B=$(B) SOAK=$(or $(SECONDS),600) .ci/soak
bench: all benches ## measure it against OpenSSL in the program itself, stunnel, HAProxy and nginx
	@bench/run $(B)
bench-quick: all benches ## the same in a minute: fewer rows, fewer rounds
	@bench/run -q $(B)
docs: ## write the generated tables of docs/ and man/ again
	@docs/update
check-docs: ## are the generated tables up to date?
	@docs/update --check
.PHONY: demo check coverage abuse soak fuzz check-nspawn bench bench-quick docs check-docs

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | sort | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'
.PHONY: help

clean: ## remove what was built
	rm -rf build build-*
.PHONY: clean

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.SECONDARY:
