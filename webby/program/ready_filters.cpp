#include "webby/program/ready_filters.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "webby/basic_auth_filter.h"
#include "webby/compression.h"
#include "webby/cors_filter.h"
#include "webby/rate_limit_filter.h"
#include "webby/request_id_filter.h"
#include "webby/security_headers_filter.h"

namespace webby::program {
namespace {

cutils::Error wrong(const char* option, const std::string& why) {
    return {std::make_error_code(std::errc::invalid_argument), std::string(option) + ": " + why};
}

// Adds what create() made, or says which option it was.
template <class Made>
cutils::Result<void> add(Server& server, const char* option, cutils::Result<std::unique_ptr<Made>> made) {
    if (!made) return wrong(option, words(made.error()));
    server.add_filter(*std::move(made));
    return {};
}

std::optional<double> number(std::string_view text) {
    double value = 0;
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    if (text.empty() || read.ec != std::errc() || read.ptr != end || !(value > 0 && value <= 1e9)) return {};
    return value;
}

cutils::Result<void> add_authentication(Server& server, const Arguments& arguments,
                                        std::optional<PasswordFile>& passwords) {
    const PasswordCheck how =
        arguments.server.paradigm == Paradigm::coroutine ? PasswordCheck::elsewhere : PasswordCheck::here;
    cutils::Result<PasswordFile> file = PasswordFile::read(arguments.auth_file, how);
    if (!file) return wrong("--auth-file", words(file.error()));
    BasicAuthOptions options;
    options.realm = arguments.auth_realm;
    passwords = *std::move(file);
    options.check = [passwords = *passwords](std::string_view user, std::string_view password) {
        return passwords.check(user, password);
    };
    return add(server, "--auth-realm", BasicAuthFilter::create(std::move(options)));
}

}  // namespace

// "N[/s][,BURST]"
cutils::Result<RateLimitOptions> parse_rate(const std::string& text) {
    const std::string_view all(text);
    const std::size_t comma = all.find(',');
    std::string_view rate = all.substr(0, comma);
    if (rate.ends_with("/s")) rate.remove_suffix(2);
    const std::optional<double> per_second = number(rate);
    const std::optional<double> burst = comma != std::string_view::npos
                                            ? number(all.substr(comma + 1))
                                            : std::max(1.0, 2 * per_second.value_or(0));
    if (!per_second || !burst)
        return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                             "\"" + text + "\" is not N[/s][,BURST]");
    RateLimitOptions options;
    options.per_second = *per_second;
    options.burst = *burst;
    return options;
}

cutils::Result<void> add_ready_filters(Server& server, const Arguments& arguments,
                                       std::optional<PasswordFile>& passwords) {
    if (arguments.files.compress && !arguments.servlets.empty())
        server.add_filter(std::make_unique<Compression>());
    if (arguments.request_id) server.add_filter(std::make_unique<RequestIdFilter>());
    cutils::Result<void> done;
    if (arguments.security_headers) done = add(server, "--security-headers", SecurityHeadersFilter::create());
    if (done && !arguments.cors.empty())
        done = add(server, "--cors", CorsFilter::create({.origins = arguments.cors}));
    if (done && !arguments.rate_limit.empty()) {
        cutils::Result<RateLimitOptions> rate = parse_rate(arguments.rate_limit);
        if (!rate) return wrong("--rate-limit", words(rate.error()));
        done = add(server, "--rate-limit", RateLimitFilter::create(*std::move(rate)));
    }
    if (done && !arguments.auth_file.empty()) done = add_authentication(server, arguments, passwords);
    return done;
}

}  // namespace webby::program
