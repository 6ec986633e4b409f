# `make install PREFIX= DESTDIR=`: headers under one versioned directory, libraries, the program, pkg-config files.

INCLUDEDIR := $(PREFIX)/include/evcorothread-$(VERSION)
INSTALL_HEADERS = $(filter-out %_internal.h,$(foreach l,$(LIBRARIES),$(wildcard $(l)/*.h)))

install: all
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/bin $(foreach l,$(LIBRARIES),$(DESTDIR)$(INCLUDEDIR)/$(l))
	$(foreach h,$(INSTALL_HEADERS),install -m 644 $(h) $(DESTDIR)$(INCLUDEDIR)/$(h) &&) true
	install -m 644 evcorothread/compat/corothread/evthread.h $(DESTDIR)$(INCLUDEDIR)/corothread/
	$(foreach l,$(LIBRARIES) butils,install -m 644 $(OUT)/lib/lib$(l).a $(DESTDIR)$(LIBDIR)/ && \
	    install -m 755 $(OUT)/lib/lib$(l).so.$(VERSION) $(DESTDIR)$(LIBDIR)/ && \
	    cp -P $(OUT)/lib/lib$(l).so $(OUT)/lib/lib$(l).so.$(SOVERSION) $(OUT)/lib/lib$(l)sh.so $(DESTDIR)$(LIBDIR)/ &&) true
	install -m 644 $(OUT)/lib/libevclockcheck.a $(DESTDIR)$(LIBDIR)/
	install -m 755 $(OUT)/lib/libevclockcheck.so $(DESTDIR)$(LIBDIR)/
	install -m 755 $(OUT)/bin/webby $(DESTDIR)$(PREFIX)/bin/
	install -D -m 644 evcorothread/gdb/evcorothread-gdb.py \
	    $(DESTDIR)$(PREFIX)/share/gdb/auto-load$(abspath $(LIBDIR))/libevcorothread.so.$(VERSION)-gdb.py
	for name in evcorothread webby; do \
	    sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|; s|@TLS_LIBS@|$(if $(filter 1,$(TLS)),-lssl -lcrypto)|; s|@COMPRESSION_LIBS@|$(if $(filter 1,$(COMPRESSION)),-lz -lbrotlienc -lzstd)|' \
	        build/$$name.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/$$name.pc || exit 1; done
