// All that a parser says about a request's head, as text, to be compared.
#pragma once

#include <string>
#include <string_view>

#include "webby/http1_parser.h"

namespace webby_test {

inline std::string described(std::string text, const webby::Limits& limits, bool short_way) {
    using namespace webby;
    Http1Parser parser(limits);
    parser.take_short_way(short_way);
    RequestHead head;
    parser.begin(head);
    std::size_t at = 0;
    const auto event = parser.parse(text.data(), at, text.size());
    if (event == Http1Parser::Event::refused) return "refused " + std::to_string(to_number(parser.refusal()));
    if (event != Http1Parser::Event::head) return "waits";
    std::string all;
    const auto add = [&](std::string_view name, std::string_view value) {
        all.append(name).append("=").append(value).append("\n");
    };
    add("method", head.view(head.method_name));
    add("method", to_string(head.method));
    add("target", head.view(head.target));
    add("path", head.decoded_path.empty() ? head.view(head.path) : head.decoded_path);
    add("query", head.view(head.query));
    add("authority", head.view(head.authority));
    add("eaten", std::to_string(at));
    add("keep", head.keep_alive ? "yes" : "no");
    add("body", head.has_body() || head.has_length || head.expects_continue ? "yes" : "no");
    for (const auto field : head.headers) add(field.name, field.value);
    return all;
}

}  // namespace webby_test
