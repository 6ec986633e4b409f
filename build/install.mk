# `make install PREFIX= LIBDIR= DESTDIR=`: headers under one versioned directory, libraries, the program, pkg-config
# files, a CMake package, man pages, the script for gdb. `make uninstall` with the same removes exactly these.
# The list of them stands in build/install-files.sh.

INSTALL_FILES = OUT='$(OUT)' VERSION='$(VERSION)' SOVERSION='$(SOVERSION)' PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' \
    DESTDIR='$(DESTDIR)' LIBRARIES='$(LIBRARIES)' TLS='$(TLS)' COMPRESSION='$(COMPRESSION)' build/install-files.sh

install: all man
	$(Q)$(INSTALL_FILES) install
# The pages' names come from the headers, so they are made first if they are not there.
uninstall: man
	$(Q)$(INSTALL_FILES) uninstall

# The pages of section 3 are made from the headers of the C face: one a group, and an alias for each call.
C_FACE := $(wildcard evcorothread/evthread*.h)
MAN_PAGES := $(wildcard build/man/*.[0-9])
man: $(OUT)/man/.made
$(OUT)/man/.made: build/man/from-header.pl $(filter-out %_internal.h,$(C_FACE)) $(MAN_PAGES) Makefile
	$(call say,MAN,$(@D))
	$(Q)rm -rf $(@D) && mkdir -p $(@D)
	$(Q)perl build/man/from-header.pl $(VERSION) $(@D) $(filter-out %_internal.h,$(C_FACE))
	$(Q)for page in $(MAN_PAGES); do sed 's|@VERSION@|$(VERSION)|g' $$page > $(@D)/$$(basename $$page) || exit 1; done
	$(Q)touch $@

# The reference: Doxygen, whose warnings are errors.
docs:
	$(Q)command -v doxygen >/dev/null || { echo 'make docs needs doxygen: build/install-deps.sh --docs' >&2; exit 1; }
	$(Q)mkdir -p $(OUT)/docs
	$(Q)EVC_VERSION=$(VERSION) EVC_OUT=$(OUT) doxygen docs/Doxyfile
	@echo 'the reference is in $(OUT)/docs/html/index.html'
.PHONY: man uninstall docs
