#include "evcorothread/resolver_cache.h"

#include <map>
#include <optional>
#include <utility>

#include "cutils/check.h"
#include "cutils/intrusive.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/timed_store_internal.h"
#include "evcorothread/wait_point.h"
#include "nutils/net_error.h"

namespace evcorothread {

using cutils::Error;
using cutils::Result;
using nutils::NetError;

namespace {

// Says something about the name, rather than about the attempt to look it up.
bool worth_remembering(const Error& error) { return error == std::errc::no_such_device_or_address; }

// Concerns whoever asked, and not the others that want to know.
bool personal(const Error& error) { return error == NetError::canceled || error == NetError::timed_out; }

}  // namespace

struct ResolverCache::Impl {
    struct Waiter : cutils::ListHook<> {
        WaitPoint point{"resolve"};
        std::optional<Result<Addresses>> answer{};
    };
    // Names that are being looked up, by one coroutine; the others wait for it.
    struct Flight {
        cutils::List<Waiter> waiters;
    };

    Impl(EvLoop& l, Resolve r, Options o)
        : loop(l), resolve(std::move(r)), options(o), known(options.max_names) {}

    void remember(const std::string& name, const Result<Addresses>& answer) {
        if (!answer && !worth_remembering(answer.error())) return;
        const Deadline live = answer ? options.time_to_live : options.failure_time_to_live;
        known.put(name, answer, live.resolved(loop.now()).at());
    }

    // Until the flight has landed. Its answer, or none: whoever asked was canceled, or ran out of time.
    std::optional<Result<Addresses>> wait_for(Flight& flight, const std::string& name, Deadline deadline) {
        Waiter waiter;
        flight.waiters.push_back(waiter);
        const Wake cause = waiter.point.wait(deadline);
        waiter.unlink();
        if (cause != Wake::event) return Error(to_error(cause), "looking up " + name);
        if (waiter.answer) ++hits;
        return std::move(waiter.answer);
    }

    Result<Addresses> ask(const std::string& name, Deadline deadline) {
        // Whatever happens, those who wait are woken: to take the answer, or to ask themselves.
        struct Landing {
            Impl& impl;
            std::map<std::string, Flight>::iterator flight;
            ~Landing() {
                cutils::List<Waiter>& waiters = flight->second.waiters;
                while (!waiters.empty()) waiters.pop_front().point.wake();
                impl.flights.erase(flight);
            }
        };
        const Landing landing{*this, flights.try_emplace(name).first};
        ++misses;
        Result<Addresses> answer = resolve(name, deadline);
        if (answer && answer->empty())
            answer =
                Error(std::make_error_code(std::errc::no_such_device_or_address), "no address of " + name);
        if (answer || !personal(answer.error()))
            landing.flight->second.waiters.for_each([&](Waiter& waiter) { waiter.answer = answer; });
        remember(name, answer);
        return answer;
    }

    EvLoop& loop;
    Resolve resolve;
    Options options;
    TimedStore<Result<Addresses>> known;
    std::map<std::string, Flight> flights;
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
};

ResolverCache::ResolverCache(EvLoop& loop, Resolve resolve, Options options)
    : impl_(std::make_unique<Impl>(loop, std::move(resolve), options)) {}

ResolverCache::~ResolverCache() {
    EVC_CHECK(impl_->flights.empty(), "a ResolverCache dies while a name is being looked up");
}

Result<ResolverCache::Addresses> ResolverCache::lookup(std::string_view host, Deadline deadline) {
    const ThreadCore& self = ThreadCore::current();
    EVC_CHECK(&self.loop == &impl_->loop.core(), "a ResolverCache is used by a coroutine of another loop");
    if (Result<nutils::IpAddress> numeric = nutils::IpAddress::parse(host)) return Addresses{*numeric};
    const std::string name = lower_case(host);
    deadline = deadline.resolved(impl_->loop.precise_now());
    for (;;) {
        if (self.refuses_waits()) return Error(NetError::canceled, "looking up " + name);
        if (const auto* const answer = impl_->known.find(name, impl_->loop.now())) {
            ++impl_->hits;
            return *answer;
        }
        const auto flight = impl_->flights.find(name);
        if (flight == impl_->flights.end()) return impl_->ask(name, deadline);
        if (auto answer = impl_->wait_for(flight->second, name, deadline)) return *std::move(answer);
    }
}

void ResolverCache::clear() { impl_->known.clear(); }

std::size_t ResolverCache::size() const { return impl_->known.size(); }
std::uint64_t ResolverCache::hits() const { return impl_->hits; }
std::uint64_t ResolverCache::misses() const { return impl_->misses; }

}  // namespace evcorothread
