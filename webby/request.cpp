#include "webby/request.h"

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <random>

#include "webby/uri.h"

namespace webby {

std::optional<std::string> Request::query_param(std::string_view name) const {
    return form_value(query(), name);
}

std::string_view Request::id() const {
    if (!id_.empty()) return id_;
    static const std::uint32_t start = std::random_device()();
    static std::atomic<std::uint64_t> count{0};
    char text[32];
    const int size = std::snprintf(text, sizeof text, "%08" PRIx32 "-%" PRIx64, start,
                                   count.fetch_add(1, std::memory_order_relaxed) + 1);
    return id_.assign(text, static_cast<std::size_t>(size));
}

}  // namespace webby
