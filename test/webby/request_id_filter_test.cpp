#include "webby/request_id_filter.h"

#include <memory>
#include <string>

#include "test/webby/filter_fixture.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(RequestId, FilterFixture){
    static std::string id(const std::string& answer){return field(answer, "X-Request-Id");
}
void use_ids(bool trust) {
    app.add_filter(std::make_unique<RequestIdFilter>(RequestIdOptions{.trust_incoming = trust}));
}
}
;

TEST(RequestId, TheServletAndTheClientSeeTheSame) {
    use_ids(false);
    const std::string answer = ask();
    CHECK_EQUAL(33, id(answer).size());
    CHECK_EQUAL("id=" + id(answer).substr(0, 32) + " user=", body(answer));
    CHECK(id(answer) != id(ask()));
}

TEST(RequestId, EveryAnswerHasOne) {
    use_ids(false);
    for (const char* line : {"GET /boom", "GET /nowhere", "OPTIONS /"})
        CHECK_EQUAL(33, id(ask({}, line)).size());
}

TEST(RequestId, AStrangersIsNotTaken) {
    use_ids(false);
    CHECK_EQUAL(33, id(ask("X-Request-Id: abc\r\n")).size());
}

TEST(RequestId, AProxysIsTakenWhenItIsSane) {
    use_ids(true);
    CHECK_EQUAL("aZ0._-~|", id(ask("X-Request-Id: aZ0._-~\r\n")));
    CHECK_EQUAL(std::string(128, 'x') + "|", id(ask("X-Request-Id: " + std::string(128, 'x') + "\r\n")));
    for (const std::string& bad : {std::string(), std::string(129, 'x'), std::string("a b"),
                                   std::string("a\"b"), std::string("\xc3\xa4"), std::string("a,b")})
        CHECK_EQUAL(33, id(ask("X-Request-Id: " + bad + "\r\n")).size());
}
