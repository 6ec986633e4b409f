#include "nutils/datagram_batch.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "cutils/check.h"

namespace nutils {
namespace {

// What the kernel takes as one: 64 pieces before Linux 6.9, and one IPv4 packet's worth of bytes.
constexpr std::size_t kMaxRun = 64;
constexpr std::size_t kMaxRunBytes = 65507;

}  // namespace

DatagramBatch::DatagramBatch(std::size_t count, std::size_t size)
    : size_(size),
      bytes_(std::make_unique_for_overwrite<char[]>(count * size)),
      rooms_(count),
      peers_(count),
      in_(count),
      in_pieces_(count),
      in_control_(count),
      out_(count),
      // A run is made of several rooms, or of pieces of one: either way of no more than these.
      out_pieces_(std::max(count, kMaxRun)),
      out_control_(count),
      out_counts_(count) {
    EVC_CHECK(count > 0 && size > 0 && size <= kCoalesced, "a DatagramBatch without room, or with too much");
    for (std::size_t i = 0; i < count; ++i) {
        in_pieces_[i] = {bytes_of(i), size_};
        msghdr& message = in_[i].msg_hdr;
        message.msg_name = &peers_[i];
        message.msg_namelen = sizeof peers_[i];
        message.msg_iov = &in_pieces_[i];
        message.msg_iovlen = 1;
        message.msg_control = in_control_[i].bytes;
        message.msg_controllen = sizeof in_control_[i].bytes;
    }
}

void DatagramBatch::swap(DatagramBatch& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(used_, other.used_);
    std::swap(datagrams_, other.datagrams_);
    bytes_.swap(other.bytes_);
    rooms_.swap(other.rooms_);
    peers_.swap(other.peers_);
    in_.swap(other.in_);
    in_pieces_.swap(other.in_pieces_);
    in_control_.swap(other.in_control_);
    out_.swap(other.out_);
    out_pieces_.swap(other.out_pieces_);
    out_control_.swap(other.out_control_);
    out_counts_.swap(other.out_counts_);
}

DatagramBatch::Iterator DatagramBatch::at(std::size_t room, std::size_t offset) const {
    Iterator it;
    it.at_.batch_ = this;
    it.at_.room_ = room;
    it.at_.offset_ = offset;
    if (room >= used_) return it;
    const Room& held = rooms_[room];
    it.at_.data_ = {bytes_of(room) + offset, std::min(held.piece, held.bytes - offset)};
    return it;
}

DatagramBatch::Iterator DatagramBatch::from(std::size_t datagram) const {
    std::size_t room = 0;
    for (; room < used_ && datagram >= pieces(rooms_[room]); ++room) datagram -= pieces(rooms_[room]);
    return room < used_ ? at(room, datagram * rooms_[room].piece) : end();
}

void DatagramBatch::step(Datagram& one) const {
    const std::size_t next = one.offset_ + rooms_[one.room_].piece;
    const bool more = next > one.offset_ && next < rooms_[one.room_].bytes;
    one = more ? *at(one.room_, next) : *at(one.room_ + 1, 0);
}

SockAddr DatagramBatch::peer_of(std::size_t room) const {
    return SockAddr::from_sockaddr(reinterpret_cast<const sockaddr*>(&peers_[room]),
                                   static_cast<socklen_t>(rooms_[room].peer_size));
}

bool DatagramBatch::same_peer(std::size_t room, const void* peer, std::size_t size) const {
    return rooms_[room].peer_size == size && (size == 0 || std::memcmp(&peers_[room], peer, size) == 0);
}

void DatagramBatch::clear() { used_ = datagrams_ = 0; }

bool DatagramBatch::add(std::string_view data, const SockAddr& to) {
    if (data.size() > size_) return false;
    const std::size_t peer_size = to.is_none() ? 0 : to.size();
    if (used_ > 0 && !data.empty()) {
        // Behind the last one, unless it was shorter than its own predecessors: that ends a run.
        Room& last = rooms_[used_ - 1];
        if (same_peer(used_ - 1, to.data(), peer_size) && data.size() <= last.piece &&
            last.bytes % last.piece == 0 && last.bytes + data.size() <= size_) {
            std::memcpy(bytes_of(used_ - 1) + last.bytes, data.data(), data.size());
            last.bytes += data.size();
            last.full_size = last.bytes;
            ++datagrams_;
            return true;
        }
    }
    if (used_ == rooms_.size()) return false;
    if (!data.empty()) std::memcpy(bytes_of(used_), data.data(), data.size());
    if (peer_size > 0) std::memcpy(&peers_[used_], to.data(), peer_size);
    rooms_[used_++] = {data.size(), data.size(), data.size(), peer_size};
    ++datagrams_;
    return true;
}

// What recvmmsg said about the first `messages` rooms; and what it must find there next time.
void DatagramBatch::take(std::size_t messages) {
    used_ = messages;
    datagrams_ = 0;
    for (std::size_t i = 0; i < messages; ++i) {
        msghdr& message = in_[i].msg_hdr;
        Room& room = rooms_[i];
        room.full_size = in_[i].msg_len;
        room.bytes = room.piece = std::min(room.full_size, size_);
        room.peer_size = std::min<std::size_t>(message.msg_namelen, sizeof peers_[i]);
        for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
             control = CMSG_NXTHDR(&message, control)) {
            if (control->cmsg_level != SOL_UDP || control->cmsg_type != UDP_GRO) continue;
            int piece = 0;
            std::memcpy(&piece, CMSG_DATA(control), sizeof piece);
            if (piece > 0) room.piece = std::min(room.bytes, static_cast<std::size_t>(piece));
        }
        datagrams_ += pieces(room);
        message.msg_namelen = sizeof peers_[i];
        message.msg_controllen = sizeof in_control_[i].bytes;
    }
}

BatchResult recv_batch(int fd, DatagramBatch& batch) noexcept {
    EVC_CHECK(!batch.rooms_.empty(), "datagrams are received into a batch that was moved away");
    batch.clear();
    int result = -1;
    do
        result = ::recvmmsg(fd, batch.in_.data(), static_cast<unsigned>(batch.in_.size()),
                            MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC, nullptr);
    while (result < 0 && errno == EINTR);
    if (result < 0) return {0, errno_code(errno)};
    batch.take(static_cast<std::size_t>(result));
    return {batch.datagrams_, {}};
}

// May `next` travel with the `count` datagrams of `run`, all of `piece` bytes so far?
bool DatagramBatch::joins(const Datagram& next, const msghdr& run, std::size_t piece, std::size_t count,
                          std::size_t bytes) const {
    return count < kMaxRun && !next.data_.empty() && next.data_.size() <= piece && bytes == count * piece &&
           bytes + next.data_.size() <= kMaxRunBytes && same_peer(next.room_, run.msg_name, run.msg_namelen);
}

// Writes the headers for the datagrams from `from` on; returns how many, counts[i] being the datagrams of the
// i-th.
std::size_t DatagramBatch::plan(Iterator from, bool coalesce, std::size_t* counts) noexcept {
    std::size_t headers = 0;
    std::size_t piece_count = 0;
    while (from != end() && headers < out_.size() && piece_count < out_pieces_.size()) {
        const Datagram& first = *from;
        const std::size_t piece = first.data_.size();
        msghdr& message = out_[headers].msg_hdr;
        message = {};
        message.msg_name =
            rooms_[first.room_].peer_size > 0 ? const_cast<sockaddr_storage*>(&peers_[first.room_]) : nullptr;
        message.msg_namelen = static_cast<socklen_t>(rooms_[first.room_].peer_size);
        message.msg_iov = &out_pieces_[piece_count];
        std::size_t count = 0;
        std::size_t bytes = 0;
        do {
            const std::string_view data = from->data_;
            iovec* const last = message.msg_iovlen == 0 ? nullptr : &out_pieces_[piece_count - 1];
            if (last != nullptr && static_cast<char*>(last->iov_base) + last->iov_len == data.data()) {
                last->iov_len += data.size();  // right behind it in the same room
            } else {
                out_pieces_[piece_count++] = {const_cast<char*>(data.data()), data.size()};
                ++message.msg_iovlen;
            }
            bytes += data.size();
            ++count;
            ++from;
        } while (coalesce && from != end() && piece_count < out_pieces_.size() &&
                 joins(*from, message, piece, count, bytes));
        if (count > 1) {
            message.msg_control = out_control_[headers].bytes;
            message.msg_controllen = CMSG_SPACE(sizeof(std::uint16_t));
            cmsghdr* const control = CMSG_FIRSTHDR(&message);
            control->cmsg_level = SOL_UDP;
            control->cmsg_type = UDP_SEGMENT;
            control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
            const auto size = static_cast<std::uint16_t>(piece);
            std::memcpy(CMSG_DATA(control), &size, sizeof size);
        }
        counts[headers++] = count;
    }
    return headers;
}

namespace {

// What the kernel says when it cannot cut a run apart: a device without checksums, pieces too large for the
// network, a run too long for it.
bool refuses_runs(int error) {
    return error == EINVAL || error == EMSGSIZE || error == EIO || error == EOPNOTSUPP;
}

}  // namespace

BatchResult send_batch(int fd, DatagramBatch& batch, std::size_t first, bool& coalesce) noexcept {
    if (first >= batch.datagrams_) return {0, {}};
    const DatagramBatch::Iterator from = batch.from(first);
    for (;;) {
        const std::size_t headers = batch.plan(from, coalesce, batch.out_counts_.data());
        int result = -1;
        do
            result = ::sendmmsg(fd, batch.out_.data(), static_cast<unsigned>(headers),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
        while (result < 0 && errno == EINTR);
        if (result >= 0) {
            std::size_t count = 0;
            for (int i = 0; i < result; ++i) count += batch.out_counts_[static_cast<std::size_t>(i)];
            return {count, {}};
        }
        const bool run_refused = batch.out_counts_[0] > 1 && refuses_runs(errno);
        if (!run_refused) return {0, errno_code(errno)};
        coalesce = false;
    }
}

bool can_coalesce(int fd) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_UDP, UDP_SEGMENT, &value, &size) == 0;
}

std::error_code set_coalescing(int fd, bool on) noexcept {
    const int value = on;
    if (::setsockopt(fd, SOL_UDP, UDP_GRO, &value, sizeof value) == 0) return {};
    return errno_code(errno);
}

}  // namespace nutils
