#include "cutils/check.h"

#include <cstdio>
#include <cstdlib>

namespace cutils {

void check_failed(const char* file, int line, const char* expression, const char* message) noexcept {
    std::fprintf(stderr, "%s:%d: %s (%s is false)\n", file, line, message, expression);
    std::fflush(stderr);
    std::abort();
}

}  // namespace cutils
