// Resolver: the addresses of host names, asked of the system on other OS threads, and remembered for a while.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/offload.h"
#include "nutils/name_lookup.h"
#include "nutils/sock_addr.h"

namespace evcorothread {

using nutils::NameError;

struct ResolverOptions {
    std::size_t max_names = 1024;  // the one used least recently goes first; 0: remember nothing
    std::chrono::seconds time_to_live{
        60};  // from when it was asked; getaddrinfo(3) does not tell the true one
    // How long it is remembered that a name has no address. Failures of the lookup itself (no server has
    // answered) are not remembered.
    std::chrono::seconds failure_time_to_live{5};
};

// Usage:
//
//   OffloadPool pool;
//   Resolver names(pool);
//   …                                                                       // in a coroutine:
//   auto addresses = names.lookup("example.org", "https", 5s);
//   if (!addresses && addresses.error() == NameError::not_found) …
//
// Most want connect() of ev_connect.h, which does this and the rest.
//
// However many ask for one name at the same time, it is looked up once; and the lookup is nobody's: when all
// who asked have given up, it goes on, and those who ask later find its answer, or wait for it with the
// others. So a name whose servers are silent occupies one thread of the pool, not one for each question.
//
// Owner:  the application; one for all its loops. It dies before the pool, and after the last lookup() has
//         returned; lookups that go on in the background are no obstacle.
// Thread: any; several loops, and OS threads outside any loop (which block), may share one. The time to live
//         runs on the clock of the loop that asks.
// Memory: bounded by max_names.
// Cost:   of a name that is known: a lock, and a copy of its addresses; the pool is not asked. Of another
//         one: that of offload().
class EVC_API Resolver {
  public:
    using Addresses = std::vector<nutils::SockAddr>;
    // Looks up a name, and may block; called on several of the pool's threads at once. `service` is empty
    // unless it has to be looked up, too; then the ports of the addresses do not matter. An exception that
    // leaves it is reported as errc::io_error, with its words (std::bad_alloc and std::system_error as their
    // codes).
    using Lookup =
        std::function<cutils::Result<Addresses>(const std::string& host, const std::string& service)>;
    using Options = ResolverOptions;

    explicit Resolver(OffloadPool& pool, Options options = {});
    // With something else than the system behind it: for tests, and for those who know names of their own
    // and leave the rest to nutils::look_up_name.
    Resolver(OffloadPool& pool, Lookup lookup, Options options = {});
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;
    // Before: no lookup() is waiting.
    ~Resolver();

    // The addresses of `host` with the port of `service` (a number, a name of /etc/services, or empty for
    // port 0), in the order of the system's preference. A numeric host with a numeric service is itself.
    // Names are the same whatever the case of their letters.
    //
    // Before:   in a coroutine, or on an OS thread outside any loop.
    // Suspends: unless it is known, or numeric.
    // After:    at least one address.
    // Errors:   a NameError (not_found, no_address, try_again, …) or the errno of the lookup; timed_out and
    //           canceled, at once: the lookup goes on behind; closed: the pool was; errc::invalid_argument
    //           for what cannot be a name. The message says which name, and what to look at.
    [[nodiscard]] cutils::Result<Addresses> lookup(std::string_view host, std::string_view service,
                                                   Deadline deadline);

    // Forgets what it knows. Lookups under way go on. Never suspends.
    void clear();

    // Names that are remembered.
    [[nodiscard]] std::size_t size() const;
    // Answers given from memory, and lookups that have begun.
    [[nodiscard]] std::uint64_t hits() const;
    [[nodiscard]] std::uint64_t misses() const;

  private:
    struct Shared;
    OffloadPool& pool_;
    std::shared_ptr<Shared> shared_;  // with the lookups under way
};

}  // namespace evcorothread
