// How much all slow clients together may keep the server's memory for.
#include <algorithm>
#include <string>
#include <vector>

#include "test/webby/started_server.h"
#include "webby/unsent_limit.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {

constexpr std::size_t kMuch = 20'000'000;  // more than the kernel takes for a client
constexpr std::size_t kTwo = 50'000'000;   // room for two of those

class UnsentFixture : public StartedServerFixture {
  public:
    void start(Paradigm paradigm) {
        make(paradigm);
        server->get("/text", [](Request&, Response& r) { r.text(std::string(kMuch, 't')); });
        server->metrics_page("/metrics");
        server->start().value();
    }
    // Has asked, and takes nothing of the answer: it waits in the server's memory.
    BlockingSocket slow() {
        const std::uint64_t before = server->metrics().unsent_bytes + server->metrics().cut_unsent * kMuch;
        BlockingSocket socket = client();
        CHECK(socket.send_all(get("/text"), 20s));
        CHECK(soon([&] {
            const ServerMetrics now = server->metrics();
            return now.unsent_bytes + now.cut_unsent * kMuch > before;
        }));
        return socket;
    }
    static bool is_whole(const std::string& heard) { return body_of(heard).size() == kMuch; }
};

}  // namespace

TEST_GROUP_BASE(UnsentLimit, UnsentFixture){};

TEST(UnsentLimit, WhoHasTakenNothingForLongestIsCutForANewOne) {
    options.max_unsent = kTwo;
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        BlockingSocket first = slow(), second = slow();
        CHECK_EQUAL(0u, server->metrics().cut_unsent);
        BlockingSocket third = slow();
        CHECK(!is_whole(hear_all(first)));
        CHECK(is_whole(hear_all(second)));
        CHECK(is_whole(hear_all(third)));
        CHECK_EQUAL(1u, server->metrics().cut_unsent);
        CHECK(soon([&] { return server->metrics().unsent_bytes == 0; }));
        CHECK(soon([&] { return server->metrics().cut == 1; }));
    }
}

TEST(UnsentLimit, WhatIsHeldIsSeenInTheMetrics) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        const BlockingSocket first = slow();
        const std::uint64_t one = server->metrics().unsent_bytes;
        CHECK(one >= kMuch && one < kMuch + kMuch / 10);
        const BlockingSocket second = slow();
        CHECK(server->metrics().unsent_bytes >= 2 * kMuch);
        const std::string page = talk(get("/metrics"));
        STRCMP_CONTAINS("\nwebby_unsent_bytes 40", page.c_str());
        STRCMP_CONTAINS("\nwebby_unsent_cut_total 0\n", page.c_str());
    }
}

TEST(UnsentLimit, OneAnswerMayBeLarger) {
    options.max_unsent = 1000;
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        BlockingSocket only = slow();
        CHECK(is_whole(hear_all(only)));
        CHECK_EQUAL(0u, server->metrics().cut_unsent);
    }
}

TEST(UnsentLimit, ZeroIsAnyAmount) {
    options.max_unsent = 0;
    start(Paradigm::coroutine);
    std::vector<BlockingSocket> all;
    for (int i = 0; i < 4; ++i) all.push_back(slow());
    for (BlockingSocket& one : all) CHECK(is_whole(hear_all(one)));
}

TEST(UnsentLimit, AQuickClientIsNotSlow) {
    options.max_unsent = 1000;
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        for (int i = 0; i < 3; ++i) CHECK(is_whole(talk(get("/text"))));
        CHECK_EQUAL(0u, server->metrics().cut_unsent);
    }
}

TEST(UnsentLimit, SharesGiveThemselvesBack) {
    webby::UnsentLimit limit(10);
    {
        webby::UnsentLimit::Share one, two;
        one.take(limit, 6);
        CHECK(!limit.is_exceeded());
        two.take(limit, 5);
        CHECK(limit.is_exceeded());
        one.take(limit, 5);  // anew
        CHECK_EQUAL(10u, limit.bytes());
        two.give_back();
        two.give_back();
        CHECK_EQUAL(5u, limit.bytes());
    }
    CHECK_EQUAL(0u, limit.bytes());
}
