// How CHECK_EQUAL shows the types of nutils; with test/support/harness.h.
#pragma once

#include "nutils/ip_address.h"
#include "nutils/net_error.h"
#include "nutils/sock_addr.h"
#include "test/support/harness.h"

namespace nutils {

inline SimpleString StringFrom(NetError error) { return ::StringFrom(make_error_code(error)); }
inline SimpleString StringFrom(const SockAddr& address) { return SimpleString(address.to_string().c_str()); }
inline SimpleString StringFrom(const IpAddress& address) { return SimpleString(address.to_string().c_str()); }

}  // namespace nutils
