// Targets: a path that is let through is a safe one.
#include <string>

#include "test/fuzz/fuzz.h"
#include "webby/uri.h"

namespace {

using namespace webby;

void must_be_safe(const std::string& path) {
    fuzz::must(path.starts_with('/'), "begins with a slash");
    fuzz::must(path.find('\0') == std::string::npos, "no NUL");
    fuzz::must(path.find("//") == std::string::npos, "no empty segment");
    const std::string closed = path + "/";
    fuzz::must(closed.find("/./") == std::string::npos, "no . segment");
    fuzz::must(closed.find("/../") == std::string::npos, "no .. segment");
}

void paths(std::string_view path) {
    std::string normal;
    const bool good = normalize_path(path, normal);
    if (good) must_be_safe(normal);
    if (is_plain_path(path)) fuzz::must(good && normal == path, "a plain path is normal");
}

}  // namespace

void fuzz::fuzz_one(std::string_view input) {
    if (input.starts_with('/')) paths(input);
    if (const auto parts = split_target(input)) {
        if (parts->path.starts_with('/')) paths(parts->path);
        must(parts->authority.size() + parts->path.size() + parts->query.size() <= input.size(),
             "parts of the target");
    }
    must(percent_decode(percent_encode_path(input)) == input, "what is encoded decodes to itself");
    must(percent_decode(input, true).size() <= input.size(), "decoding does not grow");
    (void)is_valid_host(input);
}
