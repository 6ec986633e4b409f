// What a LoopGroup, its listeners and their connections share. Internal.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/group_listener.h"

namespace evcorothread {

// The way to loops that may have ended: then what is posted is destroyed unrun.
class LoopDirectory {
  public:
    void set(std::size_t index, EvLoop* loop) {
        const std::lock_guard lock(mutex_);
        if (index >= loops_.size()) loops_.resize(index + 1);
        loops_[index] = loop;
    }
    void post(std::size_t index, std::function<void()> f) {
        const std::lock_guard lock(mutex_);
        if (index < loops_.size() && loops_[index] != nullptr) loops_[index]->post(std::move(f));
    }
    void stop(std::size_t index) {
        const std::lock_guard lock(mutex_);
        if (index < loops_.size() && loops_[index] != nullptr) loops_[index]->stop();
    }

  private:
    std::mutex mutex_;
    std::vector<EvLoop*> loops_;
};

// How many connections each loop has, and may have. Acceptors that find no place pause; whoever gives one
// back makes them go on. Counted by its tickets and ports, so that a ticket may outlive everything else.
struct Balance {
    Balance(std::shared_ptr<LoopDirectory> d, std::size_t loops, std::size_t per_loop)
        : directory(std::move(d)), capacity(per_loop), live(loops) {}

    void keep() { users.fetch_add(1, std::memory_order_relaxed); }
    void let_go() {
        if (users.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    [[nodiscard]] bool has_place(std::size_t loop) const {
        return live[loop].load(std::memory_order_seq_cst) < capacity;
    }
    void give_back(std::size_t loop);

    const std::shared_ptr<LoopDirectory> directory;
    const std::size_t capacity;
    std::deque<std::atomic<std::size_t>> live;
    std::mutex mutex;
    std::vector<std::pair<std::size_t, std::weak_ptr<GroupPort>>> paused;  // gates without a place
    std::atomic<bool> any_paused{false};
    std::atomic<std::size_t> users{0};
};

// A listening address. It has gates: one, on the accepting thread, for all loops; or, with SO_REUSEPORT, one
// on each loop.
struct GroupPort : std::enable_shared_from_this<GroupPort> {
    GroupPort(std::shared_ptr<LoopDirectory> d, Balance& b, std::size_t count)
        : directory(std::move(d)), balance(b), accepted(count), loop_count(count) {
        balance.keep();
    }
    GroupPort(const GroupPort&) = delete;
    GroupPort& operator=(const GroupPort&) = delete;
    ~GroupPort() { balance.let_go(); }

    void open_gate(std::size_t gate, EvLoop& loop, nutils::UniqueFd listener);  // on its loop
    void close_gate(std::size_t gate);                                          // on its loop
    void close();                                                               // anywhere
    void go_on(std::size_t gate);                                               // on its loop

    // The gate's index is that of its loop; the accepting thread's is loop_count.
    [[nodiscard]] bool has_place(std::size_t gate) const;
    std::size_t pick(std::size_t gate);
    void arrived(std::size_t gate, nutils::UniqueFd fd, const nutils::SockAddr& peer);
    void pause(std::size_t gate);
    void serve(std::size_t loop, nutils::UniqueFd fd, const nutils::SockAddr& peer, ConnectionTicket ticket);

    const std::shared_ptr<LoopDirectory> directory;
    Balance& balance;
    GroupListener::Handler handler;
    GroupListener::RawHandler raw;
    std::vector<EvLoop*> loops;  // read by whoever runs on one of them
    AcceptOptions options;
    std::string name;
    nutils::SockAddr local;
    std::string unlink_path;
    std::atomic<bool> is_open{true};
    std::deque<std::atomic<std::uint64_t>> accepted;
    const std::size_t loop_count;
    std::vector<std::optional<EvTcpAcceptor>> gates;  // each touched on its loop's thread only
    std::size_t turn = 0;                             // the accepting thread's
};

}  // namespace evcorothread
