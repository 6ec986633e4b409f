#include "evcorothread/resolver_cache.h"

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <utility>

#include "cutils/check.h"
#include "cutils/intrusive.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/wait_point.h"
#include "nutils/net_error.h"

namespace evcorothread {

using cutils::Error;
using cutils::Result;
using nutils::NetError;

namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    // Not tolower(3), which depends on the locale.
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

// Says something about the name, rather than about the attempt to look it up.
bool worth_remembering(const Error& error) { return error == std::errc::no_such_device_or_address; }

// Concerns whoever asked, and not the others that want to know.
bool personal(const Error& error) { return error == NetError::canceled || error == NetError::timed_out; }

}  // namespace

struct ResolverCache::Impl {
    struct Known {
        std::string name;
        Result<Addresses> answer;
        TimePoint until;
    };
    struct Waiter : cutils::ListHook<> {
        WaitPoint point{"resolve"};
        std::optional<Result<Addresses>> answer{};
    };
    // Names that are being looked up, by one coroutine; the others wait for it.
    struct Flight {
        cutils::List<Waiter> waiters;
    };

    Impl(EvLoop& l, Resolve r, Options o) : loop(l), resolve(std::move(r)), options(o) {}

    std::optional<Result<Addresses>> recall(const std::string& name) {
        const auto found = index.find(name);
        if (found == index.end()) return std::nullopt;
        if (found->second->until <= loop.now()) {
            known.erase(found->second);
            index.erase(found);
            return std::nullopt;
        }
        known.splice(known.begin(), known, found->second);
        ++hits;
        return found->second->answer;
    }

    void remember(const std::string& name, const Result<Addresses>& answer) {
        if (options.max_names == 0 || (!answer && !worth_remembering(answer.error()))) return;
        const auto live = answer ? options.time_to_live : options.failure_time_to_live;
        if (const auto old = index.find(name); old != index.end()) {
            known.erase(old->second);
            index.erase(old);
        }
        known.push_front({name, answer, loop.now() + live});
        index.emplace(name, known.begin());
        while (known.size() > options.max_names) {
            index.erase(known.back().name);
            known.pop_back();
        }
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
    std::list<Known> known;  // the most recently used first
    std::map<std::string, std::list<Known>::iterator> index;
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
    const std::string name = lower(host);
    deadline = deadline.resolved(impl_->loop.precise_now());
    for (;;) {
        if (self.canceled() && self.shield == nullptr) return Error(NetError::canceled, "looking up " + name);
        if (auto answer = impl_->recall(name)) return *std::move(answer);
        const auto flight = impl_->flights.find(name);
        if (flight == impl_->flights.end()) return impl_->ask(name, deadline);
        if (auto answer = impl_->wait_for(flight->second, name, deadline)) return *std::move(answer);
    }
}

void ResolverCache::clear() {
    impl_->index.clear();
    impl_->known.clear();
}

std::size_t ResolverCache::size() const { return impl_->known.size(); }
std::uint64_t ResolverCache::hits() const { return impl_->hits; }
std::uint64_t ResolverCache::misses() const { return impl_->misses; }

}  // namespace evcorothread
