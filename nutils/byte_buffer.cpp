#include "nutils/byte_buffer.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>
#include <utility>

#include "nutils/net_error.h"

namespace nutils {
namespace {
constexpr std::size_t kSmallest = 256;  // smaller first allocations only lead to a second one
}

ByteBuffer::ByteBuffer(ByteBuffer&& other) noexcept
    : memory_(std::move(other.memory_)),
      capacity_(std::exchange(other.capacity_, 0)),
      begin_(std::exchange(other.begin_, 0)),
      end_(std::exchange(other.end_, 0)),
      max_size_(other.max_size_) {}

ByteBuffer& ByteBuffer::operator=(ByteBuffer&& other) noexcept {
    if (this == &other) return *this;
    memory_ = std::move(other.memory_);
    capacity_ = std::exchange(other.capacity_, 0);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    max_size_ = other.max_size_;
    return *this;
}

std::error_code ByteBuffer::append(std::string_view data) noexcept {
    if (data.empty()) return {};
    if (data.size() > available()) return NetError::too_long;
    // Part of ourselves: making room may move it, so remember it by its place.
    const bool own = !std::less<>()(data.data(), memory_.get() + begin_) &&
                     std::less<>()(data.data(), memory_.get() + end_);
    const std::size_t place = own ? static_cast<std::size_t>(data.data() - memory_.get()) - begin_ : 0;
    if (!make_room(data.size())) return std::make_error_code(std::errc::not_enough_memory);
    std::memcpy(memory_.get() + end_, own ? memory_.get() + begin_ + place : data.data(), data.size());
    end_ += data.size();
    return {};
}

void ByteBuffer::shrink() noexcept {
    if (empty()) {
        memory_.reset();
        capacity_ = begin_ = end_ = 0;
    } else if (size() < capacity_) {
        move_to(size());
    }
}

bool ByteBuffer::make_room(std::size_t bytes) noexcept {
    if (bytes > available()) return false;
    if (bytes <= capacity_ - end_) return true;
    const std::size_t needed = size() + bytes;
    // Moving the unread bytes to the front is paid for by the consumed ones in front of them, if there are as
    // many; otherwise a full buffer that is read a byte at a time would be moved for every byte.
    if (needed <= capacity_ && begin_ >= size()) {
        std::memmove(memory_.get(), memory_.get() + begin_, size());
        end_ -= begin_;
        begin_ = 0;
        return true;
    }
    const std::size_t doubled = std::min(std::max(capacity_ * 2, kSmallest), max_size_ * 2);
    return move_to(std::max(needed, doubled));
}

bool ByteBuffer::move_to(std::size_t capacity) noexcept {
    std::unique_ptr<char[]> memory(new (std::nothrow) char[capacity]);
    if (!memory) return false;
    const std::size_t kept = size();
    if (kept > 0) std::memcpy(memory.get(), memory_.get() + begin_, kept);
    memory_ = std::move(memory);
    capacity_ = capacity;
    begin_ = 0;
    end_ = kept;
    return true;
}

}  // namespace nutils
