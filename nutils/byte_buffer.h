// ByteBuffer: bytes that arrive at one end and are parsed away at the other, in one piece of memory.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "cutils/check.h"
#include "cutils/export.h"

namespace nutils {

// Grows as needed, up to a maximum that is never silently exceeded or cut. Fresh memory is not zeroed.
//
//   ByteBuffer buffer(64 * 1024);
//   auto got = socket.recv(buffer.writable(4096), 30s);      // receive straight into it
//   buffer.commit(got.bytes);
//   buffer.consume(parse(buffer.readable()));                // whatever the parser took
//
// Owner: of its memory; moves, never copies; a moved-from buffer is empty and usable. One thread.
// Cost:  amortised O(1) a byte: what is consumed makes room again without an allocation, and the memory in
//        use stays below four times the bytes it holds at the worst moment (twice the maximum, when there is
//        one).
class EVC_API ByteBuffer {
  public:
    static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max() / 4;

    // Allocates nothing yet. `max_size`: how many unread bytes it may hold.
    explicit ByteBuffer(std::size_t max_size = kUnlimited) noexcept
        : max_size_(max_size < kUnlimited ? max_size : kUnlimited) {}
    ByteBuffer(ByteBuffer&& other) noexcept;
    ByteBuffer& operator=(ByteBuffer&& other) noexcept;
    ByteBuffer(const ByteBuffer&) = delete;
    ByteBuffer& operator=(const ByteBuffer&) = delete;
    ~ByteBuffer() = default;

    // The bytes not yet consumed.
    // Lifetime: until anything but a const function is called.
    [[nodiscard]] std::string_view readable() const noexcept { return {memory_.get() + begin_, size()}; }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }

    [[nodiscard]] std::size_t max_size() const noexcept { return max_size_; }
    // How much more it may hold.
    [[nodiscard]] std::size_t available() const noexcept { return max_size_ - size(); }
    // The memory it has now.
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    // Room for at least `at_least` bytes behind the readable ones: all there is, up to the maximum. What is
    // written to it counts once it is committed.
    //
    // After:  a span of at_least bytes or more; empty, and nothing changed, when that is more than
    //         available() or there is no memory.
    // Lifetime: until anything but a const function or commit() is called.
    [[nodiscard]] std::span<char> writable(std::size_t at_least = 1) noexcept {
        if (at_least > available() || (at_least > capacity_ - end_ && !make_room(at_least))) return {};
        const std::size_t room = capacity_ - end_;
        return {memory_.get() + end_, room < available() ? room : available()};
    }

    // The first `bytes` bytes of writable() have been written: they become readable.
    // Before: bytes <= the size of the span that writable() gave.
    void commit(std::size_t bytes) noexcept {
        EVC_CHECK(bytes <= capacity_ - end_ && bytes <= available(),
                  "ByteBuffer::commit() of more than writable() gave");
        end_ += bytes;
    }

    // The first `bytes` readable bytes are done with.
    // Before: bytes <= size().
    void consume(std::size_t bytes) noexcept {
        EVC_CHECK(bytes <= size(), "ByteBuffer::consume() of more than there is");
        begin_ += bytes;
        if (begin_ == end_) begin_ = end_ = 0;
    }

    // Adds `data`, all of it or, on an error, none of it. `data` may be part of this buffer.
    // Errors: too_long beyond max_size(); errc::not_enough_memory.
    [[nodiscard]] std::error_code append(std::string_view data) noexcept;

    // Forgets what is readable and keeps the memory.
    void clear() noexcept { begin_ = end_ = 0; }

    // Gives back the memory that is not needed for what is readable; all of it when the buffer is empty.
    // Keeps what it has when there is no memory to move to.
    void shrink() noexcept;

  private:
    bool make_room(std::size_t bytes) noexcept;
    bool move_to(std::size_t capacity) noexcept;

    std::unique_ptr<char[]> memory_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t max_size_;
};

}  // namespace nutils
