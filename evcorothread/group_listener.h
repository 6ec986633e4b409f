// GroupListener: where all loops of a LoopGroup serve; and the ticket that each of its connections holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "cutils/export.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"

namespace evcorothread {

struct Balance;
struct GroupPort;

struct GroupListenOptions : AcceptOptions {
    // Connections that a loop has at most; more wait to be accepted. 0: as many as it has stacks.
    std::size_t per_loop = 0;
};

// Counts a connection as one of its loop's, until it is dropped: by whom, when and on which OS thread does
// not matter. Movable.
class EVC_API ConnectionTicket {
  public:
    ConnectionTicket() = default;
    ConnectionTicket(ConnectionTicket&& other) noexcept
        : balance_(std::exchange(other.balance_, nullptr)), loop_(other.loop_) {}
    ConnectionTicket& operator=(ConnectionTicket&& other) noexcept {
        std::swap(balance_, other.balance_);
        std::swap(loop_, other.loop_);
        return *this;
    }
    ~ConnectionTicket() {
        if (balance_ != nullptr) drop();
    }

  private:
    friend struct GroupPort;
    ConnectionTicket(Balance& balance, std::size_t loop);
    void drop() noexcept;

    Balance* balance_ = nullptr;
    std::size_t loop_ = 0;
};

// From LoopGroup::listen. Like EvTcpAcceptor, for all loops together.
//
// Owner:  whoever holds it; movable. close(), or destroying it, stops listening; connections go on. May
//         outlive the group. Thread: any, one at a time.
class EVC_API GroupListener {
  public:
    // On a coroutine thread of its own for every connection, on any of the loops: several at a time, on
    // several OS threads.
    using Handler = EvTcpAcceptor::Handler;
    // On the loop that shall have the connection, outside any coroutine; must not wait. `index`: which of the
    // group's loops that is. The connection counts as one of that loop's while the ticket lives.
    using RawHandler = std::function<void(EvLoop& loop, std::size_t index, nutils::UniqueFd fd,
                                          const nutils::SockAddr& peer, ConnectionTicket ticket)>;

    GroupListener();  // closed
    GroupListener(GroupListener&&) noexcept;
    GroupListener& operator=(GroupListener&&) noexcept;
    ~GroupListener();

    // Stops listening; idempotent. Returns at once: the listening socket closes on the thread that has it,
    // and whoever is accepted meanwhile is closed.
    void close();

    [[nodiscard]] bool is_open() const;
    [[nodiscard]] const nutils::SockAddr& local_address() const;
    // How many connections that loop has been given so far, and how many of them it has now. Of a listener
    // that was not made, or was moved away: none, and no address. Before: the group has such a loop.
    [[nodiscard]] std::uint64_t accepted(std::size_t loop) const;
    [[nodiscard]] std::size_t live(std::size_t loop) const;

  private:
    friend class LoopGroup;
    explicit GroupListener(std::shared_ptr<GroupPort> port);
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
