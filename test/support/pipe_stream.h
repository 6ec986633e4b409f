// PipeStream: two ByteStreams connected in memory, with time of their own. For protocol code: what goes in at
// one end comes out at the other in pieces as small as the test likes, and waiting takes no time.
//
// Header only, so that test programs below nutils need not link it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cutils/clock.h"
#include "nutils/byte_stream.h"
#include "test/support/harness.h"

namespace test_support {

struct PipeOptions {
    std::size_t fragment = std::numeric_limits<std::size_t>::max();  // at most so many bytes a recv or send
    std::size_t capacity = std::numeric_limits<std::size_t>::max();  // unread bytes that fit in one direction
    cutils::Duration per_fragment{0};                                // time that each recv and send takes
};

class PipePair;

// One end. Nobody else runs while it waits, so a wait that is not satisfied at once never will be: it moves
// the pair's clock to the deadline and returns timed_out; without a deadline it fails the test.
class PipeStream final : public nutils::ByteStream {
  public:
    [[nodiscard]] nutils::IoResult recv(std::span<char> buffer, nutils::Deadline deadline) override;
    [[nodiscard]] nutils::IoResult send(std::string_view data, nutils::Deadline deadline) override;
    nutils::IoResult shutdown_send() override;
    void close() noexcept override { closed_ = true; }
    [[nodiscard]] cutils::TimePoint now() const override;

    // What the next recv or send returns, once.
    void break_with(std::error_code error) { broken_ = error; }
    // Calls so far.
    [[nodiscard]] int recvs() const { return recvs_; }
    [[nodiscard]] int sends() const { return sends_; }
    // What the other end has sent and nobody received.
    [[nodiscard]] std::string_view unread() const { return incoming_; }

  private:
    friend class PipePair;
    PipeStream(PipePair& pair, PipeStream& peer) : pair_(pair), peer_(peer) {}

    PipePair& pair_;
    PipeStream& peer_;
    std::string incoming_;
    bool ended_ = false;  // we shall send no more
    bool closed_ = false;
    int recvs_ = 0;
    int sends_ = 0;
    std::error_code broken_;
};

// Both ends and their clock.
//
//   PipePair pipe({.fragment = 3});
//   pipe.near.send_all("GET / HTTP/1.1\r\n\r\n", 1s);
//   serve(pipe.far);
class PipePair {
  public:
    explicit PipePair(const PipeOptions& options = {})
        : near(*this, far), far(*this, near), options_(options) {}
    PipePair(const PipePair&) = delete;
    PipePair& operator=(const PipePair&) = delete;

    PipeStream near;
    PipeStream far;

    [[nodiscard]] cutils::TimePoint now() const { return now_; }
    void advance(cutils::Duration by) { now_ += by; }

  private:
    friend class PipeStream;

    std::error_code wait_in_vain(nutils::Deadline deadline) {
        if (deadline.is_never()) FAIL("a PipeStream would wait for ever");
        now_ = std::max(now_, deadline.resolved(now_).at());
        return nutils::NetError::timed_out;
    }
    // A transfer takes its time, which may be more than there is.
    std::error_code take_time(nutils::Deadline deadline) {
        if (deadline.remaining(now_) < options_.per_fragment) return wait_in_vain(deadline);
        now_ += options_.per_fragment;
        return {};
    }

    PipeOptions options_;
    cutils::TimePoint now_{};
};

inline cutils::TimePoint PipeStream::now() const { return pair_.now_; }

inline nutils::IoResult PipeStream::recv(std::span<char> buffer, nutils::Deadline deadline) {
    ++recvs_;
    CHECK_TEXT(!buffer.empty(), "recv into an empty buffer");
    if (closed_) return {0, nutils::NetError::closed};
    if (broken_) return {0, std::exchange(broken_, {})};
    if (incoming_.empty() && (peer_.ended_ || peer_.closed_)) return {0, nutils::NetError::eof};
    if (incoming_.empty()) return {0, pair_.wait_in_vain(deadline)};
    if (auto error = pair_.take_time(deadline)) return {0, error};
    const std::size_t bytes = std::min({buffer.size(), incoming_.size(), pair_.options_.fragment});
    incoming_.copy(buffer.data(), bytes);
    incoming_.erase(0, bytes);
    return {bytes, {}};
}

inline nutils::IoResult PipeStream::send(std::string_view data, nutils::Deadline deadline) {
    ++sends_;
    if (closed_) return {0, nutils::NetError::closed};
    if (broken_) return {0, std::exchange(broken_, {})};
    if (ended_ || peer_.closed_) return {0, std::make_error_code(std::errc::broken_pipe)};
    if (data.empty()) return {};
    const std::size_t room = pair_.options_.capacity - peer_.incoming_.size();
    if (room == 0) return {0, pair_.wait_in_vain(deadline)};
    if (auto error = pair_.take_time(deadline)) return {0, error};
    const std::size_t bytes = std::min({data.size(), room, pair_.options_.fragment});
    peer_.incoming_.append(data.substr(0, bytes));
    return {bytes, {}};
}

inline nutils::IoResult PipeStream::shutdown_send() {
    if (closed_) return {0, nutils::NetError::closed};
    ended_ = true;
    return {};
}

}  // namespace test_support
