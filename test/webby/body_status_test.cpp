#include "webby/body_status.h"

#include "nutils/net_error.h"
#include "test/support/log_capture.h"
#include "test/webby/server_fixture.h"

#include "test/support/harness.h"

using namespace webby;
using nutils::NetError;
using namespace webby_test;

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

TEST_GROUP_BASE(RefuseBody, ServerFixture){};

TEST(RefuseBody, TheClientReadsWhatWasItsFaultAndTheLogWhatWasOurs) {
    test_support::LogCapture log;
    serve();
    server->get("/theirs", [](Request& q, Response& r) {
        refuse_body(q, r, cutils::Error(NetError::too_long, "multipart: too many parts"));
    });
    server->get("/ours", [](Request& q, Response& r) {
        refuse_body(q, r, cutils::Error(std::make_error_code(std::errc::permission_denied), "/srv/secret/x"));
    });
    attach();
    std::string theirs, ours;
    client([&](Client& c) {
        theirs = c.ask(get("/theirs"));
        ours = c.ask(get("/ours"));
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 413 ", theirs.c_str());
    STRCMP_CONTAINS("too many parts", theirs.c_str());
    STRCMP_CONTAINS("HTTP/1.1 500 ", ours.c_str());
    CHECK(ours.find("secret") == std::string::npos);
    STRCMP_CONTAINS("/srv/secret/x: Permission denied [request ", log.text().c_str());
}
