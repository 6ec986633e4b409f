// How long read_multipart() waits, over real sockets.
#include <string>

#include "test/webby/multipart_body.h"
#include "test/webby/server_fixture.h"
#include "webby/body_status.h"
#include "webby/read_multipart.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(ReadMultipartSlowly, ServerFixture){};

TEST(ReadMultipartSlowly, ADurationCountsForTheWholeBody) {
    serve();
    server->post("/parts",
                 [](Request& q, Response& r) {
                     auto form = read_multipart(q, {}, 10s);
                     if (!form) return r.error(body_status(form.error().code()));
                     r.text(told(*form));
                 },
                 {.stream_body = true});
    attach();
    std::string slow, quick;
    const std::string request = post("/parts", kBody);
    const std::size_t head = request.find("\r\n\r\n") + 4;
    client([&](Client& c) {
        c.say(request.substr(0, head));
        for (std::size_t at = head; at < head + 5; ++at) {
            (void)this_evthread::delay(3s);
            c.say(request.substr(at, 1));
        }
        slow = c.hear();
    });
    client([&](Client& c) {
        c.say(request.substr(0, head + 50));
        (void)this_evthread::delay(9s);
        c.say(request.substr(head + 50));
        quick = c.hear();
    });
    loop.run();
    STRCMP_CONTAINS(" 408 ", slow.c_str());
    CHECK_EQUAL(ok("title=Hello|photo=\xff\xd8\r\n--\r\n|"), quick);
}
