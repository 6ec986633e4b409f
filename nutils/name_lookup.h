// look_up_name: the addresses of a host, as the system knows them; blocks its OS thread meanwhile.
#pragma once

#include <string>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/name_error.h"
#include "nutils/sock_addr.h"

namespace nutils {

// Asks the system, by getaddrinfo(3): what nsswitch.conf, /etc/hosts, search domains and ndots say goes, and
// the order is the system's (RFC 6724). Families that this machine has no address of are left out.
//
//   for (const SockAddr& address : look_up_name("localhost", "http").value()) …
//
// In coroutines use evcorothread::Resolver instead, which does this on other OS threads.
//
// `service`: a number up to 65535, a name of /etc/services, or empty for port 0. A numeric host is itself.
// Suspends: never; it blocks, for seconds when no server answers, and cannot be interrupted. Any thread.
// Errors:   a NameError, or the errno behind EAI_SYSTEM; EMFILE, ENFILE, ENOMEM where the system says that
//           there is no such name for want of these; the context names what was looked up.
[[nodiscard]] EVC_API cutils::Result<std::vector<SockAddr>> look_up_name(const std::string& host,
                                                                         const std::string& service);

// What a failed lookup is reported as: the code, with the name and what to look at in the context.
//
//   looking up example.invalid (no such host: is the name spelled right?): Name or service not known
[[nodiscard]] EVC_API cutils::Error lookup_error(const std::error_code& code, const std::string& host,
                                                 const std::string& service = {});

}  // namespace nutils
