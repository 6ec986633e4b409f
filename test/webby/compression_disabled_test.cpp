// Built with COMPRESSION=0.
#include "webby/content_coding.h"

#include "test/support/harness.h"

using namespace webby;

TEST_GROUP_BASE(CompressionDisabled, test_support::Fixture){};

TEST(CompressionDisabled, NothingIsCodedAndItSaysSo) {
    CHECK(content_codings().empty());
    CHECK(encode(ContentCoding::gzip, "x").error() == std::errc::not_supported);
    STRCMP_CONTAINS("COMPRESSION=0", encode(ContentCoding::br, "x").error().message().c_str());
}
