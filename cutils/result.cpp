#include "cutils/result.h"

#include <cerrno>

namespace cutils {

Error Error::from_errno(std::string context) {
    return {std::error_code(errno, std::generic_category()), std::move(context)};
}

Error Error::from(const std::system_error& thrown) {
    // what() is "context: words of the code", or only the latter.
    std::string context = thrown.what();
    const std::string words = thrown.code().message();
    if (context.ends_with(words)) context.resize(context.size() - words.size());
    if (context.ends_with(": ")) context.resize(context.size() - 2);
    return {thrown.code(), std::move(context)};
}

std::string Error::message() const {
    if (context_.empty()) return code_.message();
    return context_ + ": " + code_.message();
}

void Error::raise() const { throw std::system_error(code_, context_); }

}  // namespace cutils
