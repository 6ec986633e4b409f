#include "webby/body_status.h"

#include "nutils/net_error.h"

#include "test/support/harness.h"

using namespace webby;
using nutils::NetError;

TEST_GROUP_BASE(BodyStatus, test_support::Fixture){};

TEST(BodyStatus, SaysWhoseFaultItIs) {
    CHECK(body_status(NetError::too_long) == Status::content_too_large);
    CHECK(body_status(NetError::timed_out) == Status::request_timeout);
    CHECK(body_status(NetError::truncated) == Status::bad_request);
    CHECK(body_status(std::make_error_code(std::errc::bad_message)) == Status::bad_request);
    CHECK(body_status(std::make_error_code(std::errc::not_supported)) == Status::unsupported_media_type);
    LONGS_EQUAL(507, to_number(body_status(std::make_error_code(std::errc::no_space_on_device))));
    CHECK(body_status(std::make_error_code(std::errc::io_error)) == Status::internal_error);
}
