// ResolverCache: the addresses of names, looked up once and remembered for a while.
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
#include "evcorothread/ev_loop.h"
#include "nutils/ip_address.h"

namespace evcorothread {

struct ResolverCacheOptions {
    std::size_t max_names = 1024;           // the one used least recently goes first
    std::chrono::seconds time_to_live{60};  // getaddrinfo(3) does not tell the true one
    // How long it is remembered that a name could not be found. Failures of the lookup itself (no server
    // answered, canceled, timed out) are not remembered.
    std::chrono::seconds failure_time_to_live{5};
};

// Usage:
//
//   ResolverCache names(loop, [&](const std::string& host, Deadline deadline) { return ask(host, deadline);
//   }); Result<std::vector<IpAddress>> addresses = names.lookup("example.org", 5s);
//
// However many coroutines ask for one name at the same time, it is looked up once. The one that looks it up
// does so for all: should it be canceled, or its time be over, the next one takes its place.
//
// For those whose own function looks names up in a coroutine. The system's names are Resolver's, which one
// program's loops share.
//
// Owner:  whoever makes it; outlives the lookups. Thread: the loop's.
// Memory: bounded by max_names.
class EVC_API ResolverCache {
  public:
    using Addresses = std::vector<nutils::IpAddress>;
    // Looks up a name, and may suspend meanwhile. No address at all is reported as an error by lookup().
    using Resolve = std::function<cutils::Result<Addresses>(const std::string& host, Deadline deadline)>;
    using Options = ResolverCacheOptions;

    ResolverCache(EvLoop& loop, Resolve resolve, Options options = {});
    ResolverCache(const ResolverCache&) = delete;
    ResolverCache& operator=(const ResolverCache&) = delete;
    // Before: no lookup is under way.
    ~ResolverCache();

    // The addresses of `host`, in the order of preference that the resolver gave. Names are the same whatever
    // the case of their letters; a numeric address is itself.
    //
    // Before:   called in a coroutine thread of the loop.
    // Suspends: unless the name is in the cache, or numeric.
    // Errors:   timed_out, canceled; what the resolve function says; errc::no_such_device_or_address when it
    //           finds nothing. An exception of the resolve function reaches the one that ran it.
    [[nodiscard]] cutils::Result<Addresses> lookup(std::string_view host, Deadline deadline);

    // Forgets what it knows. Lookups under way go on.
    void clear();

    // Names that are remembered.
    [[nodiscard]] std::size_t size() const;
    // Answers given from memory, and calls of the resolve function.
    [[nodiscard]] std::uint64_t hits() const;
    [[nodiscard]] std::uint64_t misses() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
