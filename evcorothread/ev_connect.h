// connect: to a server by its name.
#pragma once

#include <cstdint>
#include <string_view>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/happy_eyeballs.h"
#include "evcorothread/resolver.h"

namespace evcorothread {

// Connects to where the text says:
//
//   example.org:443    example.org:https     a name, looked up; with the port, or its name in /etc/services
//   192.0.2.7:80    [2001:db8::1]:80    [fe80::1%eth0]:80
//   unix:/run/web.sock    unix:@web          a socket file, an abstract name
//
// Of a name with several addresses, the one that answers first is taken (Happy Eyeballs, RFC 8305): the next
// one is tried when the last has been silent for 250 ms, or at once when it failed, and the families take
// turns. Numeric addresses and unix sockets need no resolver, nor its pool's threads.
//
//   OffloadPool pool;
//   Resolver names(pool);                               // one for the whole program
//   …                                                   // in a coroutine:
//   auto socket = connect(loop, names, "example.org:80", 5s);
//   if (!socket) return complain(socket.error().message());
//   (void)socket->send_all("GET / HTTP/1.0\r\n\r\n", 5s);
//
// Before:   called in a coroutine thread of `loop`.
// Suspends: until the name is known, and somebody has answered.
// Errors:   NameError::not_found, …            there is no such host, or no name server to ask: see Resolver
//           errc::connection_refused           nobody listens there
//           ENETUNREACH, EHOSTUNREACH, …       no way there; what connect(2) says
//           timed_out                          the deadline passed, looking up or connecting
//           errc::timed_out                    from the kernel: a network that has given up
//           canceled                           this coroutine was asked to stop
//           errc::invalid_argument             the text is not of the forms above
//           The message says what was done, tells of each address that failed, and what to look at.
//           With several addresses the code is that of the first one's failure.
// Cost:     with a name that is known, a lock beside what connect_any() costs.
//
// The deadline is one for all of it.
[[nodiscard]] EVC_API cutils::Result<EvSocket> connect(EvLoop& loop, Resolver& names, std::string_view where,
                                                       Deadline deadline);

// The same, with a say in the order and the socket's options:
//
//   HappyEyeballsOptions options;
//   options.families = Families::ipv4_only;
//   options.connect.keep_alive.emplace();
//   auto socket = connect(loop, names, "example.org:80", options, 5s);
[[nodiscard]] EVC_API cutils::Result<EvSocket> connect(EvLoop& loop, Resolver& names, std::string_view where,
                                                       const HappyEyeballsOptions& options,
                                                       Deadline deadline);

// The same for those who have host and port apart. `host`: a name, or a numeric address without brackets.
[[nodiscard]] EVC_API cutils::Result<EvSocket> connect(EvLoop& loop, Resolver& names, std::string_view host,
                                                       std::uint16_t port,
                                                       const HappyEyeballsOptions& options,
                                                       Deadline deadline);

}  // namespace evcorothread
