# ftmigrate: everything that builds and tests it.
#
#   make && make install        build and install with the pg_config in PATH
#   make check                  everything script/test runs, against the installed extension

EXTENSION = ftmigrate
MODULE_big = ftmigrate
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
DATA = $(wildcard sql/ftmigrate--*.sql)
PGFILEDESC = "ftmigrate - move an application off Supabase"

PG_CPPFLAGS = -I$(libpq_srcdir)
# The server's headers are not ours to warn about: -isystem overrides their -I.
PG_CFLAGS = -Wall -Wextra -isystem $(shell $(PG_CONFIG) --includedir-server) $(COPT)
SHLIB_LINK_INTERNAL = $(libpq)
SHLIB_LINK = -lcurl -ljson-c

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# pg_config's own flags end in -g -O2; a header changed means everything changed.
$(OBJS): $(wildcard src/*.h)
