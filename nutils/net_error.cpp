#include "nutils/net_error.h"

#include <cerrno>

namespace nutils {
namespace {

struct Meaning {
    int number;  // the errno; its std::errc is the condition the error equals
    const char* text;
};

Meaning meaning_of(int code) noexcept {
    switch (static_cast<NetError>(code)) {
        case NetError::eof: return {ENODATA, "end of stream"};
        case NetError::timed_out: return {ETIMEDOUT, "deadline passed"};
        case NetError::canceled: return {ECANCELED, "canceled"};
        case NetError::busy: return {EBUSY, "somebody else is already waiting"};
        case NetError::closed: return {EBADF, "closed on this side"};
        case NetError::would_block: return {EAGAIN, "would have to wait"};
        case NetError::in_progress: return {EINPROGRESS, "begun and not finished"};
        case NetError::refused: return {ECONNREFUSED, "refused by a limit"};
        case NetError::too_long: return {EMSGSIZE, "longer than the limit"};
        case NetError::truncated: return {ECONNABORTED, "ended in the middle"};
    }
    return {0, "unknown network error"};
}

}  // namespace

namespace detail {

constinit const EternalNetCategory net_category_holder;

const char* NetCategory::name() const noexcept { return "net"; }

std::string NetCategory::message(int code) const { return meaning_of(code).text; }

std::error_condition NetCategory::default_error_condition(int code) const noexcept {
    const int number = meaning_of(code).number;
    if (number == 0) return {code, *this};
    return {number, std::generic_category()};
}

}  // namespace detail

std::error_code errno_code(int number) noexcept {
    // One value on Linux; elsewhere both mean the same.
    if (number == EAGAIN || number == EWOULDBLOCK) return NetError::would_block;
    return {number, std::generic_category()};
}

int to_errno(const std::error_code& error) noexcept {
    if (!error) return 0;
    if (error.category() == std::generic_category() || error.category() == std::system_category())
        return error.value();
    const std::error_condition condition = error.default_error_condition();
    if (condition.category() == std::generic_category()) return condition.value();
    return EIO;
}

}  // namespace nutils
