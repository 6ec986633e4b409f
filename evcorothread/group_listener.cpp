#include "evcorothread/group_listener.h"

#include <unistd.h>

#include <exception>

#include "cutils/log.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/loop_group_internal.h"

namespace evcorothread {

ConnectionTicket::ConnectionTicket(Balance& balance, std::size_t loop) : balance_(&balance), loop_(loop) {
    balance.keep();
    balance.live[loop].fetch_add(1, std::memory_order_seq_cst);
}

void ConnectionTicket::drop() noexcept {
    balance_->give_back(loop_);
    std::exchange(balance_, nullptr)->let_go();
}

// Either we see that somebody has paused, or he, who looks again after he has said so, sees our place.
void Balance::give_back(std::size_t loop) {
    live[loop].fetch_sub(1, std::memory_order_seq_cst);
    if (!any_paused.load(std::memory_order_seq_cst)) return;
    std::vector<std::pair<std::size_t, std::weak_ptr<GroupPort>>> waking;
    {
        const std::lock_guard lock(mutex);
        waking.swap(paused);
        any_paused.store(false, std::memory_order_seq_cst);
    }
    for (auto& [gate, port] : waking)
        directory->post(gate, [gate = gate, port = std::move(port)] {
            if (const auto still = port.lock()) still->go_on(gate);
        });
}

// --- gates ---

void GroupPort::open_gate(std::size_t gate, EvLoop& loop, nutils::UniqueFd listener) {
    if (!is_open.load()) return;
    // Not a reference of its own: it is in it.
    cutils::Result<EvTcpAcceptor> acceptor = EvTcpAcceptor::adopt_raw(
        loop, std::move(listener),
        [this, gate](nutils::UniqueFd fd, const nutils::SockAddr& peer) {
            const std::shared_ptr<GroupPort> self = shared_from_this();
            arrived(gate, std::move(fd), peer);
        },
        options);
    if (!acceptor) {
        cutils::log(cutils::LogLevel::error, "a group does not accept: %s",
                    acceptor.error().message().c_str());
        return;
    }
    gates[gate].emplace(*std::move(acceptor));
}

void GroupPort::close_gate(std::size_t gate) {
    if (gate < gates.size()) gates[gate].reset();
}

void GroupPort::close() {
    if (!is_open.exchange(false)) return;
    if (!unlink_path.empty()) ::unlink(unlink_path.c_str());
    for (std::size_t gate = 0; gate < gates.size(); ++gate)
        directory->post(gate, [self = shared_from_this(), gate] { self->close_gate(gate); });
}

bool GroupPort::has_place(std::size_t gate) const {
    if (gate < loop_count) return balance.has_place(gate);
    for (std::size_t loop = 0; loop < loop_count; ++loop)
        if (balance.has_place(loop)) return true;
    return false;
}

// The loop with the fewest connections; among equals, in turn.
std::size_t GroupPort::pick(std::size_t gate) {
    if (gate < loop_count) return gate;
    std::size_t best = turn;
    std::size_t fewest = balance.live[best].load(std::memory_order_relaxed);
    for (std::size_t i = 1; i < loop_count; ++i) {
        const std::size_t loop = (turn + i) % loop_count;
        const std::size_t live = balance.live[loop].load(std::memory_order_relaxed);
        if (live < fewest) best = loop, fewest = live;
    }
    turn = (best + 1) % loop_count;
    return best;
}

void GroupPort::arrived(std::size_t gate, nutils::UniqueFd fd, const nutils::SockAddr& peer) {
    if (!is_open.load()) return;
    const std::size_t loop = pick(gate);
    ConnectionTicket ticket(balance, loop);
    accepted[loop].fetch_add(1, std::memory_order_relaxed);
    if (loop == gate) {
        serve(loop, std::move(fd), peer, std::move(ticket));
    } else {
        struct Arrival {
            nutils::UniqueFd fd;
            nutils::SockAddr peer;
            ConnectionTicket ticket;
        };
        const auto arrival = std::make_shared<Arrival>(Arrival{std::move(fd), peer, std::move(ticket)});
        directory->post(loop, [self = shared_from_this(), loop, arrival] {
            self->serve(loop, std::move(arrival->fd), arrival->peer, std::move(arrival->ticket));
        });
    }
    if (!has_place(gate)) pause(gate);
}

void GroupPort::pause(std::size_t gate) {
    if (!gates[gate]) return;  // its first connection came while it was made
    gates[gate]->pause();
    {
        const std::lock_guard lock(balance.mutex);
        balance.paused.emplace_back(gate, weak_from_this());
        balance.any_paused.store(true, std::memory_order_seq_cst);
    }
    if (has_place(gate)) go_on(gate);  // given back meanwhile; to be told once more does no harm
}

// There was a place; it may have been taken by another listener meanwhile.
void GroupPort::go_on(std::size_t gate) {
    if (!gates[gate]) return;
    if (has_place(gate))
        gates[gate]->resume();
    else
        pause(gate);
}

void GroupPort::serve(std::size_t index, nutils::UniqueFd fd, const nutils::SockAddr& peer,
                      ConnectionTicket ticket) {
    EvLoop& loop = *loops[index];
    if (raw) return raw(loop, index, std::move(fd), peer, std::move(ticket));
    loop.spawn(name, [self = shared_from_this(), socket = EvSocket(loop, std::move(fd)),
                      ticket = std::move(ticket)]() mutable { self->handler(std::move(socket)); });
}

// --- the handle ---

struct GroupListener::Impl {
    explicit Impl(std::shared_ptr<GroupPort> p) : port(std::move(p)) {}
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() { port->close(); }
    const std::shared_ptr<GroupPort> port;
};

GroupListener::GroupListener(std::shared_ptr<GroupPort> port)
    : impl_(std::make_unique<Impl>(std::move(port))) {}
GroupListener::GroupListener() = default;
GroupListener::GroupListener(GroupListener&&) noexcept = default;
GroupListener& GroupListener::operator=(GroupListener&&) noexcept = default;
GroupListener::~GroupListener() = default;

void GroupListener::close() {
    if (impl_ != nullptr) impl_->port->close();
}

bool GroupListener::is_open() const { return impl_ != nullptr && impl_->port->is_open.load(); }
const nutils::SockAddr& GroupListener::local_address() const {
    static const nutils::SockAddr none;
    return impl_ != nullptr ? impl_->port->local : none;
}

namespace {
constexpr const char* kNoSuchLoop = "a GroupListener is asked about a loop that its group does not have";
}
std::uint64_t GroupListener::accepted(std::size_t loop) const {
    if (impl_ == nullptr) return 0;
    EVC_CHECK(loop < impl_->port->loop_count, kNoSuchLoop);
    return impl_->port->accepted[loop].load();
}
std::size_t GroupListener::live(std::size_t loop) const {
    if (impl_ == nullptr) return 0;
    EVC_CHECK(loop < impl_->port->loop_count, kNoSuchLoop);
    return impl_->port->balance.live[loop].load();
}

}  // namespace evcorothread
