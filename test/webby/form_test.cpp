#include "webby/form.h"

#include <string>
#include <string_view>

#include "nutils/net_error.h"
#include "test/webby/engine_fixture.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

namespace {
std::string read_all(std::string_view text) {
    std::string all;
    for (FormReader form(text); form.next();)
        all.append(form.name()).append("=").append(form.value()).append("|");
    return all;
}
bool too_long(std::string_view text, const FormLimits& limits) {
    const auto form = FormFields::parse(text, limits);
    return !form && form.error() == nutils::NetError::too_long;
}
}  // namespace

TEST_GROUP_BASE(Form, test_support::Fixture){};

TEST(Form, FieldsComeInOrder) { CHECK_EQUAL("a=1|b=2|a=3|", read_all("a=1&b=2&a=3")); }

TEST(Form, IsReadAsTheStandardSays) {
    CHECK_EQUAL("", read_all(""));
    CHECK_EQUAL("", read_all("&&&"));
    CHECK_EQUAL("a=|", read_all("a"));
    CHECK_EQUAL("a=|", read_all("a="));
    CHECK_EQUAL("=a|", read_all("=a"));
    CHECK_EQUAL("=|", read_all("="));
    CHECK_EQUAL("a=b=c|", read_all("a=b=c"));
    CHECK_EQUAL("a b=c d|", read_all("a+b=c%20d"));
    CHECK_EQUAL("a+=%=&|", read_all("a%2b=%25%3d%26"));
    CHECK_EQUAL("a;b=1;c=2|", read_all("a;b=1;c=2"));
    CHECK_EQUAL(
        "\xef\xbb\xbf"
        "a=1|",
        read_all("%EF%BB%BFa=1"));
}

TEST(Form, ABrokenEscapeStaysAsItStands) { CHECK_EQUAL("a=%|b=%4|c=%zz|", read_all("a=%&b=%4&c=%zz")); }

TEST(Form, BrokenUtf8IsReplaced) {
    CHECK_EQUAL("a=\xef\xbf\xbd|", read_all("a=%ff"));
    CHECK_EQUAL("a=\xef\xbf\xbdx|", read_all("a=%e2%82x"));
    CHECK_EQUAL("a=\xc3\xa4|", read_all("a=%c3%a4"));
    CHECK_EQUAL("\xef\xbf\xbd=|", read_all("\xff"));
}

TEST(Form, AllValuesOfANameAreFound) {
    const FormFields form = FormFields::parse("t=a&u=b&t=c&t").value();
    CHECK_EQUAL(4, form.size());
    CHECK(form.all("t") == (std::vector<std::string_view>{"a", "c", ""}));
    CHECK(form.find("t") == "a");
    CHECK(form.has("u"));
    CHECK_FALSE(form.has("v"));
    CHECK(form.all("v").empty());
    CHECK(form[1] == (FormField{"u", "b"}));
}

TEST(Form, LimitsHold) {
    CHECK_FALSE(too_long("a=1&b=2", {.fields = 2}));
    CHECK(too_long("a=1&b=2&c=3", {.fields = 2}));
    CHECK_FALSE(too_long("ab=1", {.name = 2}));
    CHECK(too_long("abc=1", {.name = 2}));
    CHECK_FALSE(too_long("a=%41%42", {.value = 2}));
    CHECK(too_long("a=123", {.value = 2}));
}

TEST(Form, OneValueIsFoundWithoutTheOthers) {
    const std::string_view form = "a=1&b=two+words&%63+d=%26&e&a=2";
    CHECK(form_value(form, "a") == "1");
    CHECK(form_value(form, "b") == "two words");
    CHECK(form_value(form, "c d") == "&");
    CHECK(form_value(form, "e") == "");
    CHECK_FALSE(form_value(form, "f").has_value());
    CHECK_FALSE(form_value("&&&", "").has_value());
}

TEST(Form, ItsTypeIsKnownWithParameters) {
    CHECK(is_form_type("application/x-www-form-urlencoded"));
    CHECK(is_form_type("Application/X-WWW-Form-Urlencoded ; charset=latin1"));
    CHECK_FALSE(is_form_type("application/x-www-form-urlencodedx"));
    CHECK_FALSE(is_form_type(""));
}

TEST_GROUP_BASE(RequestForm, EngineFixture){void setup() override{EngineFixture::setup();
app.add(Method::post, "/form", make_servlet([](Request& q, Response& r) {
            const auto form = q.form();
            if (!form) return r.error(static_cast<Status>(418), form.error().context());
            std::string all;
            for (const FormField& field : *form) all += field.name + "=" + field.value + "|";
            for (const FormField& field : q.query_fields().value())
                all += field.name + "=" + field.value + "?";
            r.text(all);
        }))
    .value();
}
static std::string post(std::string_view type, std::string_view body) {
    return "POST /form?x=1&x=%32 HTTP/1.1\r\nHost: a\r\nContent-Type: " + std::string(type) +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
}
;

TEST(RequestForm, ABodyAndAQueryAreRead) {
    CHECK_EQUAL(ok("a=1|b= |x=1?x=2?"), answer(post("application/x-www-form-urlencoded", "a=1&b=+")));
}

TEST(RequestForm, AnotherTypeIsRefused) {
    STRCMP_CONTAINS(" 418 ", answer(post("text/plain", "a=1")).c_str());
}
