// UnsentLimit: how much memory the answers may hold, all together, that wait for slow clients.
#pragma once

#include <atomic>
#include <cstdint>

#include "cutils/export.h"

namespace webby {

// Makes the kernel forget what it has for the client, too, and tell it that this was not all; whoever waits
// for the socket is woken.
EVC_API void cut_off(int socket);
// Has the client told, by how its connection ends, that this was not all of an answer which ends with it: by
// a reset; over TLS by an end without a goodbye.
EVC_API void break_off(int socket, bool tls);

// A count that the loops and threads of a server share. Whoever has an answer that the kernel takes no more
// of enters it with a Share; when that is too much, it cuts those of its own that have waited longest. So
// there is at most one answer more for each loop than there may be.
//
// Owner: the server; outlives its shares. Thread: any.
// Cost:  an atomic addition when an answer begins to wait and when it goes on; nothing for those that do not.
class EVC_API UnsentLimit {
  public:
    // Bytes; 0: any number.
    explicit UnsentLimit(std::uint64_t most) : most_(most) {}
    UnsentLimit(const UnsentLimit&) = delete;
    UnsentLimit& operator=(const UnsentLimit&) = delete;

    // What a waiting answer holds; gives itself back. One thread.
    class Share {
      public:
        Share() = default;
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        ~Share() { give_back(); }

        void take(UnsentLimit& limit, std::uint64_t bytes) {
            give_back();
            limit_ = &limit;
            bytes_ = bytes;
            limit.bytes_.fetch_add(bytes, std::memory_order_relaxed);
        }
        void give_back() {
            if (limit_ == nullptr) return;
            limit_->bytes_.fetch_sub(bytes_, std::memory_order_relaxed);
            limit_ = nullptr;
        }

      private:
        UnsentLimit* limit_ = nullptr;
        std::uint64_t bytes_ = 0;
    };

    [[nodiscard]] bool is_exceeded() const { return most_ > 0 && bytes() > most_; }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
    // While too much is held: cuts whose socket `take_slowest` gives, of those that have waited longest; -1:
    // nobody but the newest is left.
    template <class TakeSlowest>
    void make_room(TakeSlowest&& take_slowest) {
        while (is_exceeded()) {
            const int socket = take_slowest();
            if (socket < 0) return;
            cut_.fetch_add(1, std::memory_order_relaxed);
            cut_off(socket);  // it hears of it, and ends
        }
    }
    // How many answers were cut for it.
    [[nodiscard]] std::uint64_t cut() const { return cut_.load(std::memory_order_relaxed); }

  private:
    const std::uint64_t most_;
    std::atomic<std::uint64_t> bytes_{0}, cut_{0};
};

}  // namespace webby
