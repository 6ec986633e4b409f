# EVCOROTHREAD: everything is built under out/<mode>/, nothing in the source tree.
#
#   make                    the libraries and the webby program (MODE=release)
#   make test               builds and runs every test program
#   make MODE=asan test     the same under AddressSanitizer and UBSan; also debug, tsan
#   make tutorial bench     the tutorial programs; the benchmarks
#   make soak               out/<mode>/test/soak: every feature under load, for minutes or hours
#   make coverage           which lines and branches the tests run (lcov: build/install-deps.sh --coverage)
#   make install PREFIX=/usr/local DESTDIR=       make uninstall with the same takes it away again
#   make docs               the reference from the headers (Doxygen: build/install-deps.sh --docs)
#   make clean              removes out/<mode>/;  make distclean removes out/
#
# How things are built stands in build/rules.mk; what is built stands here.

VERSION := 0.1.0
SOVERSION := 0

MODE ?= release
OUT ?= out/$(MODE)
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib

.DEFAULT_GOAL := all
include build/rules.mk

# Lowest floor first; a library may use the ones named after it here.
$(call library,cutils,)
$(call library,nutils,cutils)
$(call library,corothread,cutils)
$(call library,evcorothread,corothread nutils cutils)
# The library carries its gdb script.
$(OUT)/obj/evcorothread/gdb_layout.cpp.o: evcorothread/gdb/evcorothread-gdb.py
$(call library,webby,evcorothread corothread nutils cutils)

# The programs. webby has the libraries whole, for its plugins to use.
$(call program,webby,webby/main.cpp $(wildcard webby/program/*.cpp),webby,-lcrypt -ldl,whole)

# Finds pthread mutexes that are held across a switch: preloaded, or linked whole into a static program.
$(eval $(call lock_check_library))

# One test program a layer: test/<layer>/*_test.cpp with the fixtures of test/support.
$(call test_program,cutils,cutils)
$(call test_program,nutils,nutils)
$(call test_program,corothread,corothread)
$(call test_program,evcorothread,evcorothread)
$(call test_program,webby,webby)
$(call test_program,tutorial,evcorothread)

# The tutorial: every folder of tutorial/ that has sources is one program or several (one a source file).
$(call programs_in,tutorial/fibonacci,corothread)
$(call programs_in,tutorial/echo,evcorothread)
$(call programs_in,tutorial/delay,evcorothread)
$(call programs_in,tutorial/servers,evcorothread)
$(call programs_in,tutorial/greet,evcorothread)
$(call programs_in,tutorial/chat,evcorothread)
$(call programs_in,tutorial/use_cases,evcorothread)
$(call programs_in,tutorial/ordering,evcorothread)
$(call programs_in,tutorial/fetch,evcorothread)
$(call programs_in,tutorial/forward,evcorothread)
$(call programs_in,tutorial/logrelay,evcorothread)
$(call programs_in,tutorial/prefork,webby)
$(call plugins_in,tutorial/plugins)
$(call plugins_in,test/plugins)
# Old programs know the C face as <corothread/evthread.h>; and the article's program is kept as it was printed.
$(OUT)/obj/tutorial/%.o: CPPFLAGS_ALL += -Ievcorothread/compat
$(OUT)/obj/tutorial/echo/echo_c.c.o: CFLAGS_ALL += -Wno-unused-parameter -Wno-sign-conversion

# The soak program: not one of the tests.
$(eval $(call soak_template))

# The scenarios that test/faults runs with failing system calls.
$(eval $(call scenario_template))

# The fuzz targets.
$(if $(filter fuzz,$(MODE)),$(call fuzz_programs))

# The benchmarks.
$(call bench_programs)

all: libraries programs
include build/install.mk

# Header dependencies, as the compiler saw them.
-include $(OBJECTS:.o=.d)
