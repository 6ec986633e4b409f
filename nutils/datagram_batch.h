// DatagramBatch: many datagrams that come and go with one system call.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cutils/check.h"
#include "cutils/export.h"
#include "nutils/net_error.h"
#include "nutils/sock_addr.h"

namespace nutils {

// How many datagrams moved, and what ended it.
struct [[nodiscard]] BatchResult {
    std::size_t count = 0;
    std::error_code error;

    explicit operator bool() const noexcept { return !error; }
    [[nodiscard]] bool timed_out() const noexcept { return error == NetError::timed_out; }
    [[nodiscard]] bool canceled() const noexcept { return error == NetError::canceled; }
    [[nodiscard]] bool closed() const noexcept { return error == NetError::closed; }
    [[nodiscard]] bool would_block() const noexcept { return error == NetError::would_block; }
};

// A value that owns the datagrams' bytes and addresses. Received into, or filled with add(), then sent:
//
//   DatagramBatch batch(64, 2048);
//   while (socket.recv_batch(batch, 30s)) {
//       for (const DatagramBatch::Datagram& one : batch) log(one.peer(), one.data());
//       (void)socket.send_batch(batch, 1s);          // each goes back to whom it came from
//   }
//
// Inside, datagrams of the same peer and size that follow each other travel as one: on sending the kernel
// cuts them apart as late as it can (UDP_SEGMENT); received ones arrive so when the socket was told to
// (set_coalescing), which needs rooms of kCoalesced bytes. That is where the speed comes from: a datagram
// costs the kernel far more than the system call does.
//
// Memory: count × (size + 400 bytes), taken when it is made; of large rooms only what is used becomes
// resident. One thread at a time; movable.
class EVC_API DatagramBatch {
  public:
    // A room that takes whatever coalesced datagrams come.
    static constexpr std::size_t kCoalesced = 65535;

    // `count` rooms of `size` bytes. A longer datagram is cut off when it is received.
    // Before: both above zero; size <= kCoalesced.
    DatagramBatch(std::size_t count, std::size_t size);
    // What was moved from is empty and has no rooms.
    DatagramBatch(DatagramBatch&& other) noexcept : DatagramBatch() { swap(other); }
    DatagramBatch& operator=(DatagramBatch&& other) noexcept {
        DatagramBatch taken(std::move(other));
        swap(taken);
        return *this;
    }
    ~DatagramBatch() = default;

    class Iterator;
    // One of them. Lifetime: valid until the batch is changed.
    class Datagram {
      public:
        [[nodiscard]] std::string_view data() const { return data_; }
        // Who sent it, or whom it goes to; none: whom the socket is connected to.
        [[nodiscard]] SockAddr peer() const { return batch_->peer_of(room_); }
        // Its length when it was sent; more than data() has when it did not fit.
        [[nodiscard]] std::size_t full_size() const {
            return truncated() ? batch_->rooms_[room_].full_size - offset_ : data_.size();
        }
        [[nodiscard]] bool truncated() const {
            const Room& room = batch_->rooms_[room_];
            return room.full_size > room.bytes && offset_ + data_.size() == room.bytes;
        }

      private:
        friend class DatagramBatch;
        friend class Iterator;
        const DatagramBatch* batch_ = nullptr;
        std::size_t room_ = 0;
        std::size_t offset_ = 0;
        std::string_view data_;
    };

    class Iterator {
      public:
        const Datagram& operator*() const { return at_; }
        const Datagram* operator->() const { return &at_; }
        Iterator& operator++() {
            at_.batch_->step(at_);
            return *this;
        }
        bool operator==(const Iterator& other) const {
            return at_.room_ == other.at_.room_ && at_.offset_ == other.at_.offset_;
        }

      private:
        friend class DatagramBatch;
        Datagram at_;
    };
    [[nodiscard]] Iterator begin() const { return at(0, 0); }
    [[nodiscard]] Iterator end() const { return at(used_, 0); }

    // How many datagrams are in it.
    [[nodiscard]] std::size_t size() const { return datagrams_; }
    [[nodiscard]] bool empty() const { return datagrams_ == 0; }
    // Whom the n-th goes to. Before: n < size().
    [[nodiscard]] SockAddr peer_of_datagram(std::size_t n) const {
        EVC_CHECK(n < datagrams_, "DatagramBatch::peer_of_datagram() of one that is not there");
        return from(n)->peer();
    }
    // How many rooms it has: at least so many datagrams fit; and how many of them hold something.
    [[nodiscard]] std::size_t rooms() const { return rooms_.size(); }
    [[nodiscard]] std::size_t rooms_used() const { return used_; }

    void clear();
    // Copies `data` behind the others, to be sent to `to`, or to whom the socket is connected.
    // Returns false, and changes nothing, when there is no room left or data is longer than one.
    [[nodiscard]] bool add(std::string_view data, const SockAddr& to = SockAddr());

  private:
    friend EVC_API BatchResult recv_batch(int fd, DatagramBatch& batch) noexcept;
    friend EVC_API BatchResult send_batch(int fd, DatagramBatch& batch, std::size_t first,
                                          bool& coalesce) noexcept;

    // What one message of the kernel brought or takes: `bytes` in pieces of `piece`, the last may be shorter.
    struct Room {
        std::size_t bytes = 0;
        std::size_t piece = 0;
        std::size_t full_size = 0;
        std::size_t peer_size = 0;
    };
    // Room for one control message that carries a number.
    struct Control {
        alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int))];
    };
    DatagramBatch() = default;
    void swap(DatagramBatch& other) noexcept;
    static std::size_t pieces(const Room& room) {
        return room.piece == 0 || room.piece >= room.bytes ? 1 : (room.bytes + room.piece - 1) / room.piece;
    }
    [[nodiscard]] char* bytes_of(std::size_t room) const { return bytes_.get() + room * size_; }
    [[nodiscard]] Iterator at(std::size_t room, std::size_t offset) const;
    [[nodiscard]] Iterator from(std::size_t datagram) const;
    void step(Datagram& one) const;
    [[nodiscard]] SockAddr peer_of(std::size_t room) const;
    [[nodiscard]] bool same_peer(std::size_t room, const void* peer, std::size_t size) const;
    void take(std::size_t messages);
    [[nodiscard]] bool joins(const Datagram& next, const msghdr& run, std::size_t piece, std::size_t count,
                             std::size_t bytes) const;
    std::size_t plan(Iterator from, bool coalesce, std::size_t* counts) noexcept;

    std::size_t size_ = 0;
    std::size_t used_ = 0;       // rooms
    std::size_t datagrams_ = 0;  // in them
    std::unique_ptr<char[]> bytes_;
    std::vector<Room> rooms_;
    std::vector<sockaddr_storage> peers_;
    std::vector<mmsghdr> in_;
    std::vector<iovec> in_pieces_;
    std::vector<Control> in_control_;
    std::vector<mmsghdr> out_;
    std::vector<iovec> out_pieces_;
    std::vector<Control> out_control_;
    std::vector<std::size_t> out_counts_;
};

// Takes what is there, as many messages as the batch has rooms, instead of what the batch held before.
//
// Before: the batch has rooms: it was not moved from.
// After:  on success at least one datagram is in it.
// Errors: would_block; the errno of recvmmsg(2), ECONNREFUSED among them. A datagram that did not fit is no
//         error; it says so itself.
// Cost:   one recvmmsg(2); no allocation.
[[nodiscard]] EVC_API BatchResult recv_batch(int fd, DatagramBatch& batch) noexcept;

// Sends the datagrams of the batch from the `first`-th on, as many as the kernel takes now.
//
// `coalesce`: may the kernel be given several datagrams as one? True only when can_coalesce() says so of this
// socket: where the feature is unknown, they would go out as one. Becomes false when the kernel refuses,
// which a socket should remember: not every network device can.
// After:  count of them went; on success that is all, or as many as one call takes: go on with first + count.
// Errors: would_block; the errno of sendmmsg(2), which belongs to the datagram behind the `count` that went.
// Cost:   one sendmmsg(2); no allocation.
[[nodiscard]] EVC_API BatchResult send_batch(int fd, DatagramBatch& batch, std::size_t first,
                                             bool& coalesce) noexcept;

// May this socket be given several datagrams as one? UDP sockets, since Linux 4.18.
[[nodiscard]] EVC_API bool can_coalesce(int fd) noexcept;

// Tells a UDP socket to hand over datagrams of the same sender and size together, when they have come
// together through the kernel: from this machine, or from a network device that gathers them. Only for those
// who receive with recv_batch() into rooms of kCoalesced bytes.
// Errors: ENOPROTOOPT before Linux 5.0, EOPNOTSUPP for a unix socket.
[[nodiscard]] EVC_API std::error_code set_coalescing(int fd, bool on) noexcept;

}  // namespace nutils
