# ftmigrate: everything that builds and tests it.
#
#   make && make install   build, and install with the pg_config in PATH
#   make installcheck      regression and isolation tests on a running server
#   make check-KIND        tests of a KIND (clang, unit, fuzz, regress, isolation,
#                          tap, core, instructions; servers, which is the last two at once;
#                          long, long-fuzz)
#                          on servers of their own, made by make tmp-install;
#                          TESTS="name ..." runs some of them
#
# script/test is check-KIND for all of them, with all that it needs.

EXTENSION = ftmigrate
MODULE_big = ftmigrate
# Each folder of src/ is a room.
SOURCES = $(sort $(wildcard src/*.c src/*/*.c))
HEADERS = $(sort $(wildcard src/*.h src/*/*.h))
OBJS = $(SOURCES:.c=.o)
DATA = $(wildcard sql/ftmigrate--*.sql)
PGFILEDESC = "ftmigrate - move an application off Supabase"

PG_CPPFLAGS = -I$(srcdir)/src -I$(libpq_srcdir)
# The server's headers are not ours to warn about: -isystem overrides their -I.
PG_CFLAGS = -Wall -Wextra -isystem $(shell $(PG_CONFIG) --includedir-server) $(COPT)
SHLIB_LINK_INTERNAL = $(libpq)
SHLIB_LINK = -lcurl -ljson-c -lz

REGRESS := $(basename $(notdir $(sort $(wildcard test/sql/*.sql))))
# Not tmp_check: TAP tests may run at the same time.
REGRESS_OPTS = --inputdir=test --temp-instance=./tmp_check_regress
ISOLATION := $(basename $(notdir $(sort $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test
REGRESS_PREP = output_iso/expected
TEMP_CONFIG = test/server.conf
EXTRA_CLEAN = build tmp_install tmp_check_regress test/stack_auth/__pycache__

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# pg_config's own flags end in -g -O2; a header changed means everything changed.
$(OBJS): $(HEADERS)

# A private copy of the server with the extension installed in it.  PostgreSQL
# finds its other folders relative to its binary, so the binaries are copied
# and the rest may be links.
tmp-install: all
	rm -rf tmp_install
	$(MKDIR_P) 'tmp_install$(bindir)' 'tmp_install$(pkglibdir)' 'tmp_install$(datadir)'
	cp -rL '$(bindir)/.' 'tmp_install$(bindir)'
	cp -rs '$(pkglibdir)/.' 'tmp_install$(pkglibdir)'
	cp -rs '$(datadir)/.' 'tmp_install$(datadir)'
	$(MAKE) uninstall DESTDIR='$(CURDIR)/tmp_install'
	$(MAKE) install DESTDIR='$(CURDIR)/tmp_install'
	$(if $(strip $(initdb_template)),$(MAKE) $(initdb_template))

# The server's own make variables say how to run tests of a build; they look
# for tmp_install here.
abs_top_builddir = $(CURDIR)
subdir = $(EXTENSION)

# Since 17 they copy their clusters from one that initdb has made, which belongs
# to tmp-install: kinds of tests that begin at the same time do not make it twice.
initdb_template = $(if $(findstring INITDB_TEMPLATE,$(with_temp_install)), \
	tmp_install/initdb-template)

tmp_install/initdb-template:
	$(with_temp_install) initdb --auth=trust --no-sync --no-instructions $@ >/dev/null

prove = PERL5LIB=test/perl $(PROVE) --harness FtmigrateHarness

# What clang says of the sources: it warns of other things than gcc.  A server
# built by gcc hands on options, and a kind of format, that clang lacks.
CLANG ?= clang
clang_objects = $(OBJS:src/%=build/clang/%)
clang_flags = -Werror -Wno-unknown-warning-option \
	-Wno-ignored-optimization-argument -Wno-ignored-attributes

build/clang/%.o: src/%.c $(HEADERS)
	@$(MKDIR_P) $(@D)
	$(CLANG) $(CFLAGS) $(clang_flags) $(CPPFLAGS) -c -o $@ $<

check-clang:
	$(MAKE) -j "$$(nproc)" $(clang_objects)
	@echo '1 passed, 0 failed, 0 skipped'

check-unit:
	$(MAKE) -C test/unit all
	$(prove) --exec '' $(PROVE_FLAGS) $(or $(TESTS:%=build/unit/%),build/unit/*_test)

# A short run, always of the same inputs; see test/fuzz/Makefile for long ones.
check-fuzz:
	$(MAKE) -C test/fuzz check RUNS=50000

# Modules that a test loads from where they are built.
test-modules:
	$(MAKE) -C test/modules/managed_storage
	$(MAKE) -C test/modules/sorted_entries

# test/server.conf says so for servers of our own: figures and times differ.
installcheck: export PGOPTIONS += -c ftmigrate.progress_interval=0
installcheck: test-modules

check-regress: test-modules $(initdb_template)
	$(pg_regress_check) $(REGRESS_OPTS) $(or $(TESTS),$(REGRESS))

check-isolation: $(REGRESS_PREP) $(initdb_template)
	$(pg_isolation_regress_check) $(ISOLATION_OPTS) $(or $(TESTS),$(ISOLATION))

# Isolation tests look for expected/ in their own output directory.
$(REGRESS_PREP):
	$(MKDIR_P) $(@D) && ln -s ../expected $@

tap_check = rm -rf tmp_check && mkdir tmp_check && \
	TESTDIR='$(CURDIR)' TESTDATADIR='$(CURDIR)/tmp_check' \
	TESTLOGDIR='$(CURDIR)/tmp_check/log' TEMP_CONFIG='$(CURDIR)/$(TEMP_CONFIG)' \
	PG_REGRESS='$(top_builddir)/src/test/regress/pg_regress' \
	$(with_temp_install) $(prove) $(PG_PROVE_FLAGS) $(PROVE_FLAGS)

tap_tests = $(sort $(wildcard test/t/*.pl))
instruction_tests = $(sort $(wildcard test/instructions/*.pl))

check-tap: $(initdb_template)
	$(tap_check) $(or $(TESTS:%=test/t/%.pl),$(tap_tests))

# Those in which a difference between versions of PostgreSQL shows.
core_tests = $(patsubst %,test/t/%.pl,001_install 020_migration 021_kill \
	030_export 031_import 035_verify 040_users)

check-core: $(initdb_template)
	$(tap_check) $(core_tests)

# How much work is done, counted in instructions: whatever runs beside it.
check-instructions: $(initdb_template) rewrite-instructions
	$(tap_check) $(or $(TESTS:%=test/instructions/%.pl),$(instruction_tests))

check-servers: $(initdb_template) rewrite-instructions
	$(tap_check) $(tap_tests) $(instruction_tests)

rewrite-instructions:
	$(MAKE) -C test/unit ../../build/unit/rewrite_instructions

# Tests that do only a sample of what they can, all of it.
check-long: export FTM_TEST_LONG = 1
check-long: $(initdb_template)
	$(tap_check) $(or $(TESTS:%=test/t/%.pl),$(shell grep -l -e FTM_TEST_LONG -e SampledTest $(tap_tests)))

# Inputs that clang's libFuzzer finds, for so many seconds per target.
FUZZ_SECONDS = 600
check-long-fuzz:
	$(MAKE) -C test/fuzz run run-json SECONDS=$(FUZZ_SECONDS) SEED=$(or $(FTM_TEST_SEED),1)

# Makes servers in a clean Debian, as root, and not from this build.
check-package:
	$(prove) $(PROVE_FLAGS) test/package/package.pl

.PHONY: tmp-install test-modules rewrite-instructions check-clang check-unit \
	check-fuzz check-regress check-isolation check-tap check-core check-instructions check-servers \
	check-long check-long-fuzz check-package
