#include "webby/response_stream.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>

#include "cutils/check.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/ev_loop.h"
#include "nutils/net_error.h"
#include "webby/body_source.h"

namespace webby {

using nutils::IoResult;
using nutils::NetError;

// What the handles and the connection share.
class StreamState {
  public:
    explicit StreamState(std::size_t most) : most_(most) {}

    void add_handle() { handles_.fetch_add(1, std::memory_order_relaxed); }
    void drop_handle() {
        if (handles_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        end();
        drop();
    }
    // The handles together are one owner, the source is the other.
    void drop() {
        if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    bool write(std::shared_ptr<const std::string> piece) {
        const std::lock_guard lock(mutex_);
        if (end_ != End::open || bytes_ + piece->size() > most_) return false;
        if (piece->empty()) return true;
        bytes_ += piece->size();
        pieces_.push_back(std::move(piece));
        something_new();
        return true;
    }
    void keep_alive_with(std::string piece) {
        const std::lock_guard lock(mutex_);
        keep_alive_ = std::make_shared<const std::string>(std::move(piece));
    }
    void end() { finish(End::complete); }
    void cut() { finish(End::cut); }
    bool wanted() {
        const std::lock_guard lock(mutex_);
        return end_ == End::open;
    }
    std::size_t waiting() {
        const std::lock_guard lock(mutex_);
        return bytes_;
    }

    // --- the connection's side ---

    IoResult read(std::span<char> buffer) {
        const std::lock_guard lock(mutex_);
        if (end_ == End::cut) return {0, std::make_error_code(std::errc::connection_aborted)};
        std::size_t filled = 0;
        while (filled < buffer.size() && !pieces_.empty()) {
            const std::string& piece = *pieces_.front();
            const std::size_t size = piece.copy(buffer.data() + filled, buffer.size() - filled, at_);
            filled += size;
            at_ += size;
            if (at_ < piece.size()) break;
            at_ = 0;
            pieces_.pop_front();
        }
        bytes_ -= std::min(filled, bytes_);
        if (filled > 0) return {filled, {}};
        return {0, end_ == End::complete ? NetError::eof : NetError::would_block};
    }
    std::error_code wait(cutils::Deadline deadline) {
        {
            const std::lock_guard lock(mutex_);
            if (is_readable()) return {};
            more_.reset();
        }
        return more_.wait(deadline);
    }
    bool tell(evcorothread::EvLoop& loop, AnswerWaiter& waiter) {
        const std::lock_guard lock(mutex_);
        if (is_readable()) return false;
        loop_ = &loop;
        waiter_ = &waiter;
        return true;
    }
    void nothing_came() {
        const std::lock_guard lock(mutex_);
        if (end_ != End::open || keep_alive_ == nullptr || keep_alive_->empty()) return;
        bytes_ += keep_alive_->size();
        pieces_.push_back(keep_alive_);
    }
    void source_gone() {
        {
            const std::lock_guard lock(mutex_);
            if (end_ == End::open) end_ = End::unwanted;
            pieces_.clear();
            bytes_ = 0;
            waiter_ = nullptr;
        }
        drop();
    }

  private:
    enum class End { open, complete, cut, unwanted };
    // What is posted may find that the connection has gone: the state stays until then.
    struct Reference {
        explicit Reference(StreamState& s) : state(&s) { s.owners_.fetch_add(1, std::memory_order_relaxed); }
        Reference(const Reference& other) : Reference(*other.state) {}
        Reference& operator=(const Reference&) = delete;
        ~Reference() { state->drop(); }
        StreamState* state;
    };

    [[nodiscard]] bool is_readable() const { return !pieces_.empty() || end_ != End::open; }
    void finish(End how) {
        const std::lock_guard lock(mutex_);
        if (end_ != End::open) return;
        end_ = how;
        something_new();
    }
    // With the lock held while it is posted: a connection that goes waits for that, and then its loop is not
    // used.
    void something_new() {
        more_.set();
        if (loop_ == nullptr || waiter_ == nullptr) return;
        std::exchange(loop_, nullptr)->post([self = Reference(*this)] {
            AnswerWaiter* waiter = nullptr;
            {
                const std::lock_guard lock(self.state->mutex_);
                waiter = std::exchange(self.state->waiter_, nullptr);
            }
            if (waiter != nullptr) waiter->answer_goes_on();
        });
    }

    const std::size_t most_;
    std::atomic<int> handles_{1};
    std::atomic<int> owners_{2};
    std::mutex mutex_;  // of all that follows
    std::deque<std::shared_ptr<const std::string>> pieces_;
    std::shared_ptr<const std::string> keep_alive_;
    std::size_t at_ = 0;  // in the first piece
    std::size_t bytes_ = 0;
    End end_ = End::open;
    evcorothread::CrossEvent more_;
    evcorothread::EvLoop* loop_ = nullptr;
    AnswerWaiter* waiter_ = nullptr;  // told on the loop's thread, without the lock
};

namespace {

class StreamSource final : public BodySource {
  public:
    explicit StreamSource(StreamState& state) : state_(state) {}
    ~StreamSource() override { state_.source_gone(); }
    IoResult read(std::span<char> buffer) override { return state_.read(buffer); }
    std::error_code wait(cutils::Deadline deadline) override { return state_.wait(deadline); }
    bool tell(evcorothread::EvLoop& loop, AnswerWaiter& waiter) override { return state_.tell(loop, waiter); }
    void nothing_came() override { state_.nothing_came(); }

  private:
    StreamState& state_;
};

}  // namespace

ResponseStream Response::stream(std::size_t most) {
    auto state = std::make_unique<StreamState>(most);
    auto body = std::make_unique<StreamSource>(*state);
    ResponseStream handle(*state.release());  // and the source: two owners
    source(std::move(body), {});
    return handle;
}

ResponseStream::ResponseStream(const ResponseStream& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->add_handle();
}
ResponseStream::~ResponseStream() {
    if (state_ != nullptr) state_->drop_handle();
}
bool ResponseStream::write(std::shared_ptr<const std::string> piece) {
    return state_ != nullptr && state_->write(std::move(piece));
}
void ResponseStream::keep_alive_with(std::string piece) {
    if (state_ != nullptr) state_->keep_alive_with(std::move(piece));
}
void ResponseStream::end() {
    if (state_ != nullptr) state_->end();
}
void ResponseStream::cut() {
    if (state_ != nullptr) state_->cut();
}
bool ResponseStream::wanted() const { return state_ != nullptr && state_->wanted(); }
std::size_t ResponseStream::waiting() const { return state_ != nullptr ? state_->waiting() : 0; }

}  // namespace webby
