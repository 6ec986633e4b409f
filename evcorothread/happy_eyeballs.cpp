#include "evcorothread/happy_eyeballs.h"

#include <algorithm>
#include <list>
#include <string>
#include <utility>

#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/io_call_internal.h"
#include "nutils/socket_ops.h"

namespace evcorothread {

using cutils::Error;
using cutils::Result;
using nutils::SockAddr;

std::vector<SockAddr> interleaved(std::span<const SockAddr> addresses, std::size_t first_family_count) {
    std::list<SockAddr> first;
    std::list<SockAddr> others;
    for (const SockAddr& address : addresses) {
        std::list<SockAddr>& family = address.family() == addresses.front().family() ? first : others;
        if (std::find(family.begin(), family.end(), address) == family.end()) family.push_back(address);
    }
    std::vector<SockAddr> order;
    const auto take = [&order](std::list<SockAddr>& family) {
        if (family.empty()) return;
        order.push_back(family.front());
        family.pop_front();
    };
    for (std::size_t i = 0; i < first_family_count && !first.empty(); ++i) take(first);
    while (!first.empty() || !others.empty()) {
        take(others);
        take(first);
    }
    return order;
}

namespace {

// The ones to try, those of the preferred family first; a unix address is of every family.
std::vector<SockAddr> wanted(std::span<const SockAddr> addresses, Families families) {
    std::vector<SockAddr> all(addresses.begin(), addresses.end());
    if (families == Families::as_sorted) return all;
    const bool four = families == Families::ipv4_first || families == Families::ipv4_only;
    const auto preferred = [&](const SockAddr& address) {
        return !address.is_ip() || (address.family() == AF_INET) == four;
    };
    const auto others = std::stable_partition(all.begin(), all.end(), preferred);
    if (families == Families::ipv4_only || families == Families::ipv6_only) all.erase(others, all.end());
    return all;
}

// How often a unix listener with a full queue is asked again: nobody tells when it has room.
constexpr Duration kAskAgain = std::chrono::milliseconds(1);

// One address that is being tried.
struct Attempt {
    SockAddr peer;
    EvSocket socket;
    std::error_code state;  // none: connected; in_progress, would_block: not yet; else failed

    [[nodiscard]] bool pending() const {
        return state == NetError::in_progress || state == NetError::would_block;
    }
    void begin() { go_on(nutils::connect_start(socket.fd(), peer)); }
    // After a wait: has anything changed?
    void look() {
        if (state == NetError::would_block) return begin();
        if (state == NetError::in_progress && socket.watch()->writable)
            go_on(nutils::connect_result(socket.fd()));
    }

  private:
    void go_on(const std::error_code& now) {
        state = now;
        if (state != NetError::in_progress) return;
        socket.watch()->writable = false;
        if (const std::error_code error = socket.watch()->ensure_registered()) state = error;
    }
};

class Race {
  public:
    Race(EvLoop& loop, std::span<const SockAddr> addresses, const HappyEyeballsOptions& options)
        : loop_(loop),
          options_(options),
          delay_(std::max(options.attempt_delay, std::chrono::milliseconds(10))),
          order_(interleaved(addresses, options.first_family_count)) {}

    Result<EvSocket> run(Deadline deadline) {
        deadline = deadline.resolved(loop_.precise_now());
        for (;;) {
            if (EvSocket* const winner = progress()) return std::move(*winner);
            if (attempts_.empty() && next_ == order_.size()) return all_failed(code_of_first_);
            if (const std::error_code error = wait(deadline)) return gave_up(error);
        }
    }

  private:
    // Looks at the attempts, and starts the next one when it is time; returns who has made it.
    EvSocket* progress() {
        for (auto it = attempts_.begin(); it != attempts_.end();) {
            it->look();
            if (EvSocket* const socket = settle(it)) return socket;
        }
        while (next_ < order_.size() && (attempts_.empty() || next_at_ <= loop_.precise_now())) {
            const SockAddr& peer = order_[next_++];
            next_at_ = delay_.resolved(loop_.precise_now()).at();
            Result<nutils::UniqueFd> fd = nutils::open_stream(peer, options_for(peer));
            if (!fd) {
                note(peer, fd.error());
                continue;
            }
            attempts_.push_back({peer, EvSocket(loop_, *std::move(fd)), {}});
            attempts_.back().begin();
            auto last = std::prev(attempts_.end());
            if (EvSocket* const socket = settle(last)) return socket;
        }
        return nullptr;
    }

    // Drops an attempt that has failed, and moves `it` on; the next address need not wait then.
    EvSocket* settle(std::list<Attempt>::iterator& it) {
        if (it->pending()) {
            ++it;
            return nullptr;
        }
        if (!it->state) return &it->socket;
        note(it->peer, nutils::connect_error(it->state, it->peer));
        next_at_ = TimePoint::min();
        it = attempts_.erase(it);
        return nullptr;
    }

    // A local address serves the peers of its own family.
    nutils::ConnectOptions options_for(const SockAddr& peer) const {
        nutils::ConnectOptions options = options_.connect;
        if (options.local.family() != peer.family()) options.local = SockAddr();
        return options;
    }

    void note(const SockAddr& peer, Error error) {
        if (peer == order_.front()) code_of_first_ = error.code();
        errors_.push_back(std::move(error));
    }

    // What happened at each address; of a single one, just that.
    Error all_failed(const std::error_code& code) const {
        if (errors_.size() == 1) return errors_.front();
        std::string reasons;
        for (const Error& error : errors_)
            reasons.append(reasons.empty() ? "" : "; ").append(error.message());
        return {code, "none of " + std::to_string(errors_.size()) + " addresses [" + reasons + "]"};
    }

    // Until an attempt has something to tell, or it is time for the next one.
    std::error_code wait(Deadline deadline) {
        Deadline until = deadline;
        const TimePoint now = loop_.precise_now();
        if (next_ < order_.size()) until = Deadline::earlier(until, next_at_, now);
        WaitPoint point("connect");
        for (const Attempt& attempt : attempts_) {
            attempt.socket.watch()->writer = &point;
            if (attempt.state == NetError::would_block) until = Deadline::earlier(until, kAskAgain, now);
        }
        const Wake cause = point.wait(until);
        for (const Attempt& attempt : attempts_) attempt.socket.watch()->writer = nullptr;
        // Not its own deadline, but what was to be done meanwhile; a bundle's deadline may have come before
        // both.
        const TimePoint then = loop_.precise_now();
        if (cause == Wake::timed_out && until.passed(then) && !deadline.passed(then)) return {};
        return to_error(cause);
    }

    Error gave_up(const std::error_code& error) {
        for (const Attempt& attempt : attempts_)
            note(attempt.peer, nutils::connect_error(error, attempt.peer));
        return all_failed(error);
    }

    EvLoop& loop_;
    const HappyEyeballsOptions& options_;
    const Deadline delay_;
    const std::vector<SockAddr> order_;
    std::size_t next_ = 0;
    TimePoint next_at_ = TimePoint::min();
    std::list<Attempt> attempts_;
    std::vector<Error> errors_;  // in the order in which they came
    std::error_code code_of_first_;
};

}  // namespace

Result<EvSocket> connect_any(EvLoop& loop, std::span<const SockAddr> addresses,
                             const HappyEyeballsOptions& options, Deadline deadline) {
    if (addresses.empty())
        return Error(std::make_error_code(std::errc::invalid_argument), "no address to connect to");
    const ThreadCore& self = ThreadCore::current();
    EVC_CHECK(&self.loop == &loop.core(), "connect_any() in a coroutine of another loop");
    if (self.refuses_waits()) return Error(NetError::canceled, "connect");
    const std::vector<SockAddr> some = wanted(addresses, options.families);
    if (some.empty())
        return Error(std::make_error_code(std::errc::address_family_not_supported),
                     "none of " + std::to_string(addresses.size()) + " addresses is " +
                         (options.families == Families::ipv4_only ? "IPv4" : "IPv6") + ", the first " +
                         addresses.front().to_string());
    return Race(loop, some, options).run(deadline);
}

}  // namespace evcorothread
