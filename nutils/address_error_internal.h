// How a system call that failed at an address is reported. Internal to nutils.
#pragma once

#include <string>

#include "cutils/result.h"
#include "nutils/net_error.h"
#include "nutils/sock_addr.h"

namespace nutils::detail {

// Takes errno as it was: making the words may change it.
inline cutils::Error failed(int number, const char* call, const SockAddr& address) {
    return {errno_code(number), std::string(call) + " " + address.to_string()};
}

}  // namespace nutils::detail
