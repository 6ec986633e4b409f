// Dates: one that is read is one that is written.
#include "test/fuzz/fuzz.h"
#include "webby/http_date.h"

void fuzz::fuzz_one(std::string_view input) {
    const auto time = webby::parse_http_date(input);
    if (!time) return;
    char text[webby::kHttpDateSize];
    webby::write_http_date(*time, text);
    must(webby::parse_http_date({text, sizeof text}) == time, "it is read again as the same");
}
