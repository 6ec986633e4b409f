#include "cutils/result.h"

#include <cerrno>

namespace cutils {

Error Error::from_errno(std::string context) {
    return {std::error_code(errno, std::generic_category()), std::move(context)};
}

std::string Error::message() const {
    if (context_.empty()) return code_.message();
    return context_ + ": " + code_.message();
}

void Error::raise() const { throw std::system_error(code_, context_); }

}  // namespace cutils
