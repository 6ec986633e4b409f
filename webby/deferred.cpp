#include "webby/deferred.h"

#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "webby/deferred_internal.h"
#include "webby/peer_gone_internal.h"

namespace webby {

void DeferredState::drop_handle() {
    if (handles_.fetch_sub(1, std::memory_order_acq_rel) == 1 && is_wanted()) {
        cutils::log(cutils::LogLevel::error, "webby: a deferred response was dropped and never completed");
        response.clear();
        response.error(webby::Status::internal_error);
        complete();
    }
    drop_reference();
}

// With the lock held while it is posted: whoever gives up waits for that, and then the loop is not used.
void DeferredState::complete() {
    const std::lock_guard lock(mutex_);
    if (status_ != Status::pending) return;
    status_ = Status::complete;
    done_.set();
    if (loop_ == nullptr) return;
    add_handle();
    loop_->post([self = Deferred(*this), this] {
        AnswerWaiter* waiter = nullptr;
        {
            const std::lock_guard waiter_lock(mutex_);
            waiter = std::exchange(waiter_, nullptr);
        }
        if (waiter != nullptr) waiter->answer_goes_on();
    });
}

bool DeferredState::is_complete() {
    const std::lock_guard lock(mutex_);
    return status_ == Status::complete;
}

bool DeferredState::is_wanted() {
    const std::lock_guard lock(mutex_);
    return status_ == Status::pending;
}

void DeferredState::is_for(int fd) {
    const std::lock_guard lock(mutex_);
    fd_ = fd;
}

// With the lock held: the descriptor is not closed meanwhile.
bool DeferredState::client_gone() {
    const std::lock_guard lock(mutex_);
    return status_ == Status::given_up || (status_ == Status::pending && fd_ >= 0 && peer_gone(fd_));
}

void DeferredState::give_up() {
    const std::lock_guard lock(mutex_);
    if (loop_ != nullptr) waiter_ = nullptr;
    if (status_ != Status::pending) return;
    status_ = Status::given_up;
    done_.set();
}

bool DeferredState::tell(evcorothread::EvLoop& loop, AnswerWaiter& waiter) {
    const std::lock_guard lock(mutex_);
    if (status_ != Status::pending) return false;
    loop_ = &loop;
    waiter_ = &waiter;
    return true;
}

Deferred::Deferred(const Deferred& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->add_handle();
}

Deferred::~Deferred() {
    if (state_ != nullptr) state_->drop_handle();
}

Response& Deferred::response() const {
    EVC_CHECK(state_ != nullptr, "an empty webby::Deferred has no response");
    return state_->response;
}

void Deferred::complete() {
    if (state_ != nullptr) state_->complete();
}

bool Deferred::client_gone() const { return state_ != nullptr && state_->client_gone(); }

bool Deferred::wanted() const { return state_ != nullptr && state_->is_wanted(); }

// --- Response's part ---

Deferred Response::defer() {
    EVC_CHECK(deferred_ == nullptr, "Response::defer() twice for one response");
    deferred_ = new DeferredState;
    swap(deferred_->response);
    return Deferred(*deferred_);
}

// Who filled it may have called defer() as well: a servlet on another thread.
void Response::take_deferred() {
    DeferredState* const next = std::exchange(deferred_->response.deferred_, nullptr);
    swap(deferred_->response);
    drop_deferred();
    deferred_ = next;
}

void Response::drop_deferred() {
    deferred_->give_up();
    std::exchange(deferred_, nullptr)->drop_reference();
}

}  // namespace webby
