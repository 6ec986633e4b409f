# How things are built. `make` is not recursive: one dependency graph, so `-j` and partial builds are right.

CXX ?= g++
ifeq ($(origin CXX),default)
CXX := g++
endif
ifeq ($(origin CC),default)
CC := gcc
endif

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion
CXX_WARNINGS := $(WARNINGS) -Wnon-virtual-dtor -Woverloaded-virtual
IS_CLANG := $(findstring clang,$(shell $(CXX) --version 2>/dev/null | head -n 1))
MACHINE := $(shell $(CXX) -dumpmachine)

FLAGS_release := -O3 -g -fno-plt
FLAGS_debug := -O0 -g3
# Their reports name functions and lines, which -g1 has.
FLAGS_asan := -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan := -O1 -g1 -fsanitize=thread -fno-omit-frame-pointer
# With CXX=clang++: build/fuzz.sh.
FLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_coverage := -O0 -g --coverage -DTEST_SUPPORT_COVERAGE
MODE_FLAGS := $(FLAGS_$(MODE))
ifeq ($(MODE_FLAGS),)
$(error MODE=$(MODE) is not one of: release debug asan tsan coverage fuzz)
endif

# Position-independent objects serve the archive and the shared library alike. Hidden by default: the ABI is what
# carries EVC_API. The switch (corothread/switch.h) steps over no red zone because library code has none.
LIB_FLAGS := -fPIC -fvisibility=hidden -fvisibility-inlines-hidden
ifeq ($(IS_CLANG),)
LIB_FLAGS += -fno-semantic-interposition
endif
ifneq ($(filter x86_64%,$(MACHINE)),)
LIB_FLAGS += -mno-red-zone -DCOROTHREAD_NO_RED_ZONE=1
endif

# TLS on OpenSSL 3: built when pkg-config finds it. TLS=1 insists; TLS=0 leaves it out (asking for TLS is then an
# error at run time, in words).
ifndef TLS
TLS := $(shell pkg-config --exists 'openssl >= 3' 2>/dev/null && echo 1 || echo 0)
endif
ifeq ($(TLS),1)
TLS_LEFT_OUT := evcorothread/tls_disabled.cpp test/evcorothread/tls_disabled_test.cpp
# A program that does not use it does not load it.
TLS_LIBS := -Wl,--as-needed -lssl -lcrypto -Wl,--no-as-needed
else
TLS_LEFT_OUT := $(filter-out %/tls_error.cpp %/tls_disabled.cpp %/tls_disabled_test.cpp, \
    $(wildcard evcorothread/tls_*.cpp test/evcorothread/tls_*.cpp test/webby/tls_*.cpp)) \
    test/tutorial/greet_tls_test.cpp test/tutorial/logrelay_test.cpp
TLS_LIBS :=
$(info TLS is left out: TLS=$(TLS), or pkg-config finds no OpenSSL 3 (Debian: libssl-dev))
endif

# Compression of bodies: built when pkg-config finds all three libraries. COMPRESSION=1 insists; COMPRESSION=0 leaves it
# out (webby then serves what is compressed already, and compresses nothing).
ifndef COMPRESSION
COMPRESSION := $(shell pkg-config --exists zlib libbrotlienc libzstd 2>/dev/null && echo 1 || echo 0)
endif
ifeq ($(COMPRESSION),1)
COMPRESSION_LEFT_OUT := webby/compression_disabled.cpp test/webby/compression_disabled_test.cpp
COMPRESSION_LIBS := -Wl,--as-needed -lz -lbrotlienc -lzstd -Wl,--no-as-needed
TEST_LIBS_webby := -lbrotlidec
else
COMPRESSION_LEFT_OUT := $(filter-out %/compression_disabled.cpp %/compression_disabled_test.cpp, \
    $(wildcard webby/compression_*.cpp test/webby/compression_*.cpp))
COMPRESSION_LIBS :=
$(info Compression is left out: COMPRESSION=$(COMPRESSION), or pkg-config does not find zlib, libbrotlienc and \
    libzstd (Debian: zlib1g-dev libbrotli-dev libzstd-dev))
endif
LEFT_OUT := $(TLS_LEFT_OUT) $(COMPRESSION_LEFT_OUT)

CPPFLAGS_ALL := -I. -D_GNU_SOURCE -DEVC_VERSION='"$(VERSION)"' $(CPPFLAGS)
CXXFLAGS_ALL := -std=c++20 $(MODE_FLAGS) $(CXX_WARNINGS) -pthread $(CXXFLAGS)
CFLAGS_ALL := -std=c11 $(MODE_FLAGS) $(WARNINGS) -pthread $(CFLAGS)
LDFLAGS_ALL := $(filter -fsanitize=% --coverage,$(MODE_FLAGS)) -pthread $(LDFLAGS)

# What each library needs from the system; pkg-config's Libs.private says the same.
SYSLIBS_cutils :=
SYSLIBS_nutils :=
SYSLIBS_corothread := -lboost_context
SYSLIBS_evcorothread := -lboost_context -levent_core -levent_pthreads $(TLS_LIBS)
SYSLIBS_webby := $(COMPRESSION_LIBS)

# Every symbol of ours carries the release that made it, e.g. EVCOROTHREAD_0.1: a program that was built against another
# ABI is refused in words, and two copies in one process do not take each other's. What is exported, EVC_API decides.
# What the standard library leaves in ours (weak, shared by all) stays as it is: waiters of std::atomic meet in it.
ABI_NODE := EVCOROTHREAD_$(word 1,$(subst ., ,$(VERSION))).$(word 2,$(subst ., ,$(VERSION)))
EXPORTS := $(OUT)/lib/exports.map
OUR_NAMES := 6cutils 6nutils 10corothread 12evcorothread 5webby
$(EXPORTS): build/rules.mk Makefile
	@mkdir -p $(@D)
	@{ echo '$(ABI_NODE) {'; echo '  global:'; \
	   printf '    %s;\n' 'EV[A-Z]*_*' 'STACKS_*' 'IPADDRESS_*' 'SOCKADDR_*' 'CTHREAD_*' \
	       $(foreach n,$(OUR_NAMES),'_ZN$(n)*' '_ZNK$(n)*' '_ZT[ISVTC]N$(n)*' '_ZT[WH]N$(n)*' '_ZT[hvc]*_N$(n)*' '_ZT[hvc]*_NK$(n)*' '_ZZN$(n)*' '_ZZNK$(n)*' '_ZGVN$(n)*'); \
	   echo '};'; } > $@

# Libraries find each other beside them. A distribution's are in a folder that the loader knows: RPATH=
RPATH ?= $$ORIGIN

comma := ,
LIBRARIES :=
PROGRAMS :=
OBJECTS :=

objects = $(patsubst %,$(OUT)/obj/%.o,$(1))
# $(call deps,NAME): NAME and the libraries below it, highest first.
deps = $(1) $(LIBDEPS_$(1))
archives = $(foreach l,$(call deps,$(1)),$(OUT)/lib/lib$(l).a)
syslibs = $(foreach l,$(call deps,$(1)),$(SYSLIBS_$(l)))

# The standard library's headers are a third of what there is to compile, so builds with sanitizers have them
# precompiled, once with the flags of libraries and once with those of tests. Not the released build: g++ 12 does not
# know any more then that they are the system's, and warns of what it imagines in them when it optimizes; and there it
# is seen whether a file includes what it needs.
PRECOMPILED := $(if $(IS_CLANG),,$(if $(filter asan tsan,$(MODE)),library test))
precompiled = $(if $(filter $(1),$(PRECOMPILED)),$(OUT)/precompiled/$(1)/standard.h)
with_precompiled = $(if $(call precompiled,$(1)),-include $(call precompiled,$(1)) -Winvalid-pch)
$(OUT)/precompiled/test/standard.h.gch: FLAGS_HERE = $(TEST_FLAGS)
$(OUT)/precompiled/library/standard.h.gch: FLAGS_HERE = $(LIB_FLAGS)
$(OUT)/precompiled/%/standard.h.gch: build/standard.h $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,C++,$@)
	$(Q)cp $< $(@D)/standard.h
	$(Q)$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) $(FLAGS_HERE) -x c++-header -o $@ $<

define library_template
LIBDEPS_$(1) := $(2)
LIBRARIES += $(1)
SOURCES_$(1) := $$(filter-out %/main.cpp $(LEFT_OUT),$$(wildcard $(1)/*.cpp))
OBJECTS_$(1) := $$(call objects,$$(SOURCES_$(1)))
OBJECTS += $$(OBJECTS_$(1))
$$(OBJECTS_$(1)): private CXXFLAGS_ALL += $(LIB_FLAGS) $(call with_precompiled,library)
$$(OBJECTS_$(1)): $(addsuffix .gch,$(call precompiled,library))
$(OUT)/lib/lib$(1).a: $$(OBJECTS_$(1))
	@mkdir -p $$(@D)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $(AR) rcs $$@ $$^
$(OUT)/lib/lib$(1).so.$(VERSION): $$(OBJECTS_$(1)) $(EXPORTS) $(foreach l,$(2),$(OUT)/lib/lib$(l).so)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$(CXX) -shared -Wl,-soname,lib$(1).so.$(SOVERSION) -Wl,--no-undefined -Wl,--as-needed \
	    -Wl,--version-script=$(EXPORTS) $(if $(RPATH),-Wl$(comma)-rpath$(comma)'$(subst $$,$$$$,$(RPATH))') $(LDFLAGS_ALL) -o $$@ \
	    $$(OBJECTS_$(1)) -L$(OUT)/lib $(foreach l,$(2),-l:lib$(l).so) $(SYSLIBS_$(1))
$(OUT)/lib/lib$(1).so: $(OUT)/lib/lib$(1).so.$(VERSION)
	$$(Q)ln -sf lib$(1).so.$(VERSION) $(OUT)/lib/lib$(1).so.$(SOVERSION)
	$$(Q)ln -sf lib$(1).so.$(SOVERSION) $$@
	$$(Q)ln -sf lib$(1).so.$(SOVERSION) $(OUT)/lib/lib$(1)sh.so
libraries: $(OUT)/lib/lib$(1).a $(OUT)/lib/lib$(1).so
.PHONY: lib-$(1)
lib-$(1): $(OUT)/lib/lib$(1).a $(OUT)/lib/lib$(1).so
endef
library = $(eval $(call library_template,$(strip $(1)),$(strip $(2))))

# The empty library that old link lines name: -lbutils, -lbutilssh.
$(OUT)/lib/libbutils.a:
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@
$(OUT)/lib/libbutils.so:
	@mkdir -p $(@D)
	$(Q)$(CXX) -shared -nostdlib -Wl,-soname,libbutils.so.$(SOVERSION) -o $@.$(VERSION) -x c /dev/null
	$(Q)ln -sf libbutils.so.$(VERSION) $@.$(SOVERSION)
	$(Q)ln -sf libbutils.so.$(SOVERSION) $(OUT)/lib/libbutilssh.so
	$(Q)ln -sf libbutils.so.$(SOVERSION) $@
libraries: $(OUT)/lib/libbutils.a $(OUT)/lib/libbutils.so

# libevclockcheck: needs nothing of ours when it is linked; what it asks for is in the program, or it says so.
define lock_check_library
OBJECTS += $$(call objects,lockcheck/lock_check.cpp)
$$(call objects,lockcheck/lock_check.cpp): CXXFLAGS_ALL += $(LIB_FLAGS)
$(OUT)/lib/libevclockcheck.a: $$(call objects,lockcheck/lock_check.cpp)
	@mkdir -p $$(@D)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $(AR) rcs $$@ $$^
$(OUT)/lib/libevclockcheck.so: $$(call objects,lockcheck/lock_check.cpp)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$(CXX) -shared -Wl,-soname,libevclockcheck.so -o $$@ $$^ $(LDFLAGS_ALL)
libraries: $(OUT)/lib/libevclockcheck.a $(OUT)/lib/libevclockcheck.so
endef

# $(call program,NAME,SOURCES,LIBRARY,LAST LINK FLAGS,whole): "whole" has all of the libraries in it, and lets what it loads use them.
WHOLE := -Wl,--export-dynamic -Wl,--whole-archive
define program_template
PROGRAMS += $(OUT)/bin/$(1)
OBJECTS += $$(call objects,$(2))
$(OUT)/bin/$(1): $$(call objects,$(2)) $$(call archives,$(3))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CXX) $(LDFLAGS_ALL) $(if $(5),$(WHOLE)) -o $$@ $$^ $(if $(5),-Wl$(comma)--no-whole-archive) $(LINK_EXTRA) $$(call syslibs,$(3)) $(4)
programs: $(OUT)/bin/$(1)
endef
program = $(eval $(call program_template,$(1),$(2),$(strip $(3)),$(4),$(5)))

# $(call test_program,LAYER,LIBRARY): CppUTest. Syscalls named in test/<layer>/wrap.txt can be made to fail (--wrap).
TEST_SUPPORT = $(wildcard test/support/*.cpp)
WRAP_FLAGS = $(addprefix -Wl$(comma)--wrap=,$(shell cat test/$(1)/wrap.txt 2>/dev/null))
# The tests are not what must be fast, but their compilation is: two thirds of what there is to compile.
# ASan alone finds what these checks of UBSan would find in them.
TEST_FLAGS := $(if $(filter -O0,$(MODE_FLAGS)),,$(if $(filter asan,$(MODE)),-O0,-O1) -g1) \
    $(if $(filter asan,$(MODE)),-fno-sanitize=null$(comma)alignment$(comma)vptr$(comma)object-size)
# ThreadSanitizer sees the tests in which threads meet; the others have one, and take long to compile for it.
THREADS_MEET := std::thread|pthread_|StallDetector|LoopGroup|OffloadPool|SharedChannel|Cross(Event|Mutex|Semaphore)
threaded = $(shell grep -lE '$(THREADS_MEET)' $(1))
test_sources = $(if $(and $(filter tsan,$(MODE)),$(call threaded,$(1))),$\
    $(sort $(call threaded,$(1)) $(filter %/wrapped_calls.cpp,$(1))),$(1))
define test_template
TEST_OBJECTS_$(1) := $$(call objects,$$(call test_sources,$$(filter-out $(LEFT_OUT),$$(wildcard test/$(1)/*.cpp))))
TEST_C_OBJECTS_$(1) := $$(if $(filter tsan,$(MODE)),,$$(call objects,$$(wildcard test/$(1)/*.c)))
OBJECTS += $$(TEST_OBJECTS_$(1)) $$(TEST_C_OBJECTS_$(1))
$$(TEST_OBJECTS_$(1)): private CXXFLAGS_ALL += $(TEST_FLAGS) $(call with_precompiled,test)
$$(TEST_OBJECTS_$(1)): $(addsuffix .gch,$(call precompiled,test))
$(OUT)/test/test_$(1): $$(TEST_OBJECTS_$(1)) $$(TEST_C_OBJECTS_$(1)) $$(call objects,$$(TEST_SUPPORT)) $$(call archives,$(2))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CXX) $(LDFLAGS_ALL) $$(call WRAP_FLAGS,$(1)) -o $$@ $$^ $$(call syslibs,$(2)) $$(TEST_LIBS_$(1)) -lCppUTest -lCppUTestExt
tests: $(OUT)/test/test_$(1)
endef
test_program = $(eval $(call test_template,$(strip $(1)),$(strip $(2))))
OBJECTS += $(call objects,$(TEST_SUPPORT))

# $(call programs_in,FOLDER,LIBRARY): every .cpp and .c in FOLDER is a program out/<mode>/<FOLDER>/<name>.
define programs_in_template
OBJECTS += $$(call objects,$$(wildcard $(1)/*.cpp $(1)/*.c))
$$(patsubst %,$(OUT)/%,$$(basename $$(wildcard $(1)/*.cpp))): $(OUT)/%: $(OUT)/obj/%.cpp.o $$(call archives,$(2))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CXX) $(LDFLAGS_ALL) -o $$@ $$^ $$(call syslibs,$(2))
$$(patsubst %,$(OUT)/%,$$(basename $$(wildcard $(1)/*.c))): $(OUT)/%: $(OUT)/obj/%.c.o $$(call archives,$(2))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CXX) $(LDFLAGS_ALL) -o $$@ $$^ $$(call syslibs,$(2))
tutorial: $$(patsubst %,$(OUT)/%,$$(basename $$(wildcard $(1)/*.cpp $(1)/*.c)))
endef
programs_in = $(eval $(call programs_in_template,$(strip $(1)),$(strip $(2))))

# $(call plugins_in,FOLDER): every .cpp in FOLDER is a plugin of webby, out/<mode>/<FOLDER>/<name>.so. It is linked with
# nothing of ours: the program has it.
define plugins_in_template
OBJECTS += $$(call objects,$$(wildcard $(1)/*.cpp))
$$(call objects,$$(wildcard $(1)/*.cpp)): CXXFLAGS_ALL += -fPIC
$$(patsubst %,$(OUT)/%.so,$$(basename $$(wildcard $(1)/*.cpp))): $(OUT)/%.so: $(OUT)/obj/%.cpp.o
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$(CXX) -shared $(LDFLAGS_ALL) -o $$@ $$^
tutorial: $$(patsubst %,$(OUT)/%.so,$$(basename $$(wildcard $(1)/*.cpp)))
endef
plugins_in = $(eval $(call plugins_in_template,$(strip $(1))))

# Every test/fuzz/NAME_fuzz.cpp is a program out/fuzz/fuzz/NAME, in MODE=fuzz. fuzz_sources_NAME: what it tries that is
# in no library.
fuzz_sources_settings := webby/program/settings.cpp
define fuzz_template
OBJECTS += $$(call objects,test/fuzz/$(1)_fuzz.cpp test/fuzz/fuzz.cpp $(fuzz_sources_$(1)))
$(OUT)/fuzz/$(1): $$(call objects,test/fuzz/$(1)_fuzz.cpp test/fuzz/fuzz.cpp $(fuzz_sources_$(1))) $$(call archives,webby)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CXX) -fsanitize=fuzzer $(LDFLAGS_ALL) -o $$@ $$^ $$(call syslibs,webby)
fuzz: $(OUT)/fuzz/$(1)
endef
fuzz_programs = $(foreach f,$(patsubst test/fuzz/%_fuzz.cpp,%,$(wildcard test/fuzz/*_fuzz.cpp)),$(eval $(call fuzz_template,$(f))))

# The soak program of test/soak: every feature under load, for minutes or hours.
define soak_template
OBJECTS_soak := $$(call objects,$$(wildcard test/soak/*.cpp))
OBJECTS += $$(OBJECTS_soak)
$(OUT)/test/soak: $$(OBJECTS_soak) $$(call archives,webby)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CXX) $(LDFLAGS_ALL) $$(call WRAP_FLAGS,soak) -o $$@ $$^ $$(call syslibs,webby)
soak: $(OUT)/test/soak $(OUT)/bin/webby
endef

# The scenarios of test/faults, with the parts of the webby program in them.
define scenario_template
OBJECTS_scenario := $$(call objects,$$(wildcard test/faults/*.cpp))
OBJECTS += $$(OBJECTS_scenario)
$(OUT)/test/scenario: $$(OBJECTS_scenario) $$(call objects,$$(wildcard webby/program/*.cpp)) $$(call archives,webby)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CXX) $(LDFLAGS_ALL) -o $$@ $$^ $$(call syslibs,webby) -lcrypt -ldl
scenario: $(OUT)/test/scenario
endef

# Every bench/*.cpp is a program out/<mode>/bench/<name>; bench/bench.mk names what it links beside webby.
define bench_template
OBJECTS += $$(call objects,bench/$(1).cpp)
$(OUT)/bench/$(1): $$(call objects,bench/$(1).cpp) $$(call archives,webby)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CXX) $(LDFLAGS_ALL) -o $$@ $$^ $$(call syslibs,webby) $$(BENCH_LIBS_$(1))
endef
-include bench/bench.mk
bench_names = $(filter-out $(BENCH_SKIP),$(basename $(notdir $(wildcard bench/*.cpp))))
bench_programs = $(foreach b,$(bench_names),$(eval $(call bench_template,$(b))))


# `make V=1` prints the commands themselves.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' '$(1)' '$(2)')

# A change of flags rebuilds: the stamp's content is the command line.
FLAGS_STAMP := $(OUT)/flags
FLAGS_TEXT := $(CXX) $(CC) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) $(CFLAGS_ALL) $(LIB_FLAGS)
$(shell mkdir -p $(OUT); echo "$(subst ",,$(FLAGS_TEXT))" | cmp -s - $(FLAGS_STAMP) || echo "$(subst ",,$(FLAGS_TEXT))" > $(FLAGS_STAMP))

$(OUT)/obj/%.cpp.o: %.cpp $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,C++,$<)
	$(Q)$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) -MMD -MP -c -o $@ $<

$(OUT)/obj/%.c.o: %.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

.PHONY: all libraries programs tests tutorial bench fuzz soak scenario coverage test clean distclean install
test: all tests tutorial
	@build/run-tests.sh $(OUT)
# A build of its own, whatever MODE is.
coverage:
	@$(MAKE) --no-print-directory MODE=coverage OUT=out/coverage all tests
	@build/coverage.sh out/coverage
bench: $(patsubst %,$(OUT)/bench/%,$(bench_names))
clean:
	rm -rf $(OUT)
distclean:
	rm -rf out
