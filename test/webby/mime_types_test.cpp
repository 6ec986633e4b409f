#include "webby/mime_types.h"

#include "test/support/harness.h"

using namespace webby;

TEST_GROUP(MimeTypes){};

TEST(MimeTypes, GoByTheEndOfTheName) {
    CHECK(mime_type("index.html") == "text/html; charset=utf-8");
    CHECK(mime_type("a/b.c/STYLE.CSS") == "text/css; charset=utf-8");
    CHECK(mime_type("x.tar.gz") == "application/gzip");
    CHECK(mime_type("x.svg") == "image/svg+xml; charset=utf-8");
    CHECK(mime_type("x.webmanifest") == "application/manifest+json");
    CHECK(mime_type("x.js") == "text/javascript; charset=utf-8");
}

TEST(MimeTypes, WhatIsNotKnownIsBytes) {
    for (const char* name :
         {"", "README", "a.html/README", "x.unknown", "x.", ".", "x.averyveryverylongextension"})
        CHECK_TEXT(mime_type(name) == "application/octet-stream", name);
}
