#include "nutils/name_error.h"

#include "nutils/net_error.h"

namespace nutils {
namespace detail {

constinit const EternalNameCategory name_category_holder;

const char* NameCategory::name() const noexcept { return "name"; }

std::string NameCategory::message(int code) const { return ::gai_strerror(code); }

std::error_condition NameCategory::default_error_condition(int code) const noexcept {
    switch (static_cast<NameError>(code)) {
        case NameError::not_found:
        case NameError::no_address:
        case NameError::wrong_family: return std::errc::no_such_device_or_address;
        case NameError::try_again: return std::errc::resource_unavailable_try_again;
        case NameError::failed: return std::errc::protocol_error;
        case NameError::no_such_service: return std::errc::invalid_argument;
        case NameError::no_memory: return std::errc::not_enough_memory;
    }
    return {code, *this};
}

}  // namespace detail

std::error_code name_error(int code, int number) noexcept {
    if (code == 0) return {};
    if (code == EAI_SYSTEM) return errno_code(number);
    return {code, name_category()};
}

}  // namespace nutils
