#include "webby/basic_auth_filter.h"

#include <string>

#include "test/webby/filter_fixture.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(BasicAuth, FilterFixture){static std::string why_not(BasicAuthOptions options){
    auto filter = BasicAuthFilter::create(std::move(options));
return filter ? "accepted" : filter.error().context();
}
static std::string challenge(const std::string& answer) { return field(answer, "WWW-Authenticate"); }
void use_ada() { use(BasicAuthFilter::create({.realm = "x", .users = {{"ada", "pa:ss"}, {"bob", ""}}})); }
}
;

TEST(BasicAuth, WhoKnowsThePasswordComesIn) {
    use_ada();
    CHECK_EQUAL("id= user=ada", body(ask("Authorization: Basic YWRhOnBhOnNz\r\n")));  // ada:pa:ss
    CHECK_EQUAL("id= user=bob", body(ask("authorization: bASIC  Ym9iOg==\r\n")));     // bob:
}

TEST(BasicAuth, NobodyElseDoes) {
    use_ada();
    for (const char* header :
         {"", "Authorization: Basic YWRhOnBhOnN6\r\n", "Authorization: Basic YWRhOnBhOnNzcw==\r\n",
          "Authorization: Basic YWRhOnBhOnM=\r\n", "Authorization: Basic ZXZlOnBhOnNz\r\n",
          "Authorization: Basic YWRh\r\n", "Authorization: Basic\r\n", "Authorization: Basic \r\n",
          "Authorization: Basic !!!!\r\n", "Authorization: Bearer YWRhOnBhOnNz\r\n",
          "Authorization: BasicYWRhOnBhOnNz\r\n", "Authorization: Basic Og==\r\n"}) {
        const std::string answer = ask(header);
        CHECK_EQUAL_TEXT(std::string("401"), status(answer), header);
        CHECK_EQUAL("Basic realm=\"x\", charset=\"UTF-8\"|", challenge(answer));
    }
}

TEST(BasicAuth, AFunctionMayDecide) {
    use(BasicAuthFilter::create({.check = [](std::string_view user, std::string_view password) {
        return user == "ada" && password == "pa:ss";
    }}));
    CHECK_EQUAL("id= user=ada", body(ask("Authorization: Basic YWRhOnBhOnNz\r\n")));
    CHECK_EQUAL("401", status(ask("Authorization: Basic Ym9iOg==\r\n")));
    CHECK_EQUAL("401", status(ask("Authorization: Basic YWRh\r\n")));
}

TEST(BasicAuth, TheRealmIsQuoted) {
    use(BasicAuthFilter::create({.realm = "a \"b\" \\", .users = {{"a", "b"}}}));
    CHECK_EQUAL("Basic realm=\"a \\\"b\\\" \\\\\", charset=\"UTF-8\"|", challenge(ask()));
}

TEST(BasicAuth, AUserIsNotTheNextRequestsUser) {
    struct Once final : Filter {
        bool on_request(Request& request, Response&) override {
            if (request.headers().has("X-Name")) request.set_user("ada");
            return true;
        }
    };
    app.add_filter(std::make_unique<Once>());
    Conversation talk(app);
    talk.say("GET / HTTP/1.1\r\nHost: a\r\nX-Name: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    STRCMP_CONTAINS("id= user=adaHTTP", talk.heard().c_str());
    CHECK(talk.heard().ends_with("id= user="));
}

TEST(BasicAuth, OptionsThatMakeNoSenseAreRefused) {
    const auto anybody = [](std::string_view, std::string_view) { return true; };
    STRCMP_CONTAINS("nobody", why_not({}).c_str());
    STRCMP_CONTAINS("not both", why_not({.users = {{"a", "b"}}, .check = anybody}).c_str());
    STRCMP_CONTAINS("name", why_not({.users = {{"a:b", "c"}}}).c_str());
    STRCMP_CONTAINS("name", why_not({.users = {{"a\n", "c"}}}).c_str());
    STRCMP_CONTAINS("realm", why_not({.realm = "a\r\nb", .check = anybody}).c_str());
    CHECK_EQUAL("accepted", why_not({.check = anybody}));
}
