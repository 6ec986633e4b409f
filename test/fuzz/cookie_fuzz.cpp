// Cookies: those that are read are parts of the field; one that is written adds nothing but itself.
#include <algorithm>
#include <string>

#include "test/fuzz/fuzz.h"
#include "webby/cookie.h"

namespace {

using namespace webby;

bool is_inside(std::string_view part, std::string_view whole) {
    return part.empty() ||
           (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void read(std::string_view field) {
    std::size_t cookies = 0;
    for (CookieReader reader(field); reader.next(); ++cookies) {
        fuzz::must(is_inside(reader.name(), field) && is_inside(reader.value(), field),
                   "views into the field");
        fuzz::must(reader.name().find('=') == std::string_view::npos, "no = in a name");
        fuzz::must(reader.value().find(';') == std::string_view::npos, "no ; in a value");
    }
    fuzz::must(cookies <= field.size(), "no more cookies than bytes");
}

std::string take_line(std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return std::string(line);
}

void write(std::uint8_t seed, std::string_view text) {
    SetCookie cookie;
    cookie.name = take_line(text);
    cookie.value = take_line(text);
    cookie.path = take_line(text);
    cookie.domain = take_line(text);
    cookie.secure = seed & 1;
    cookie.http_only = seed & 2;
    cookie.partitioned = seed & 4;
    if (seed & 8) cookie.max_age = std::chrono::seconds(seed);
    const auto written = cookie.to_string();
    if (!written) return;
    const auto attributes = static_cast<int>(std::count(written->begin(), written->end(), ';'));
    fuzz::must(attributes == !cookie.path.empty() + !cookie.domain.empty() + cookie.secure +
                                 cookie.http_only + cookie.partitioned + cookie.max_age.has_value(),
               "no attribute but those that were asked for");
    fuzz::must(written->find_first_of("\r\n", 0) == std::string::npos, "one line");
    CookieReader back(*written);
    fuzz::must(back.next() && back.name() == cookie.name && back.value() == cookie.value,
               "it is read as written");
    Response response;
    fuzz::must(add_cookie(response, cookie).ok() && !response.wire_fields().empty(), "a response takes it");
}

}  // namespace

void fuzz::fuzz_one(std::string_view input) {
    read(input);
    const std::uint8_t seed = take_seed(input);
    write(seed, input);
}
