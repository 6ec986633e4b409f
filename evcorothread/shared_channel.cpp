#include "evcorothread/shared_channel.h"

#include <mutex>
#include <new>

#include "cutils/check.h"
#include "evcorothread/channel_memory_internal.h"
#include "evcorothread/cross_waiter_internal.h"
#include "evcorothread/select_guard_internal.h"
#include "evcorothread/shared_channel_arm.h"

namespace evcorothread {

using nutils::NetError;

namespace {
// A sender with its item, or a receiver with room for one.
struct Party final : CrossWaiter {
    Party(const char* reason, void* i) : CrossWaiter(reason), item(i) {}
    Party(SelectGuard& guard, void* i) : CrossWaiter(guard), item(i) {}
    void* item;
};
}  // namespace

struct SharedChannelBase::Impl {
    Impl(std::size_t c, const ItemType& t)
        : type(t),
          capacity(c),
          room(static_cast<char*>(::operator new(buffer_bytes(c, t.size), std::align_val_t(t.alignment)))) {}
    ~Impl() {
        for (; count > 0; --count, first = next(first)) type.destroy(slot(first));
        ::operator delete(room, std::align_val_t(type.alignment));
    }

    [[nodiscard]] char* slot(std::size_t i) const { return room + i * type.size; }
    [[nodiscard]] std::size_t next(std::size_t i) const { return i + 1 == capacity ? 0 : i + 1; }
    void push(void* item) {
        const std::size_t end = first + count;
        type.move(slot(end >= capacity ? end - capacity : end), item);
        ++count;
    }
    void pop(void* place) {
        type.move(place, slot(first));
        type.destroy(slot(first));
        first = next(first);
        --count;
    }
    static Party* take(CrossQueue& parties) { return static_cast<Party*>(parties.take()); }
    // Would a send, or a receive, by somebody who does not wait here himself as `asking`, go on at once?
    [[nodiscard]] bool may_send(const SelectGuard* asking) {
        return closed || count < capacity || receivers.somebody(asking);
    }
    [[nodiscard]] bool may_recv(const SelectGuard* asking) {
        return closed || count > 0 || senders.somebody(asking);
    }
    std::mutex mutex;
    const ItemType type;
    const std::size_t capacity;
    char* const room;
    std::size_t first = 0;
    std::size_t count = 0;
    bool closed = false;
    CrossQueue senders;    // only while it is full; but for arms of selects, which look once they are here
    CrossQueue receivers;  // only while it is empty; the same
};

SharedChannelBase::SharedChannelBase(std::size_t capacity, const ItemType& type)
    : impl_(std::make_unique<Impl>(capacity, type)) {}

SharedChannelBase::~SharedChannelBase() {
    const std::lock_guard lock(impl_->mutex);  // who has ended the last wait has let go
    EVC_CHECK(impl_->senders.unused() && impl_->receivers.unused(),
              "a SharedChannel is destroyed while somebody waits on it");
}

std::error_code SharedChannelBase::send_item(void* item, const Deadline* deadline) {
    if (deadline != nullptr)
        if (const std::error_code refused = CrossWaiter::refusal()) return refused;
    Impl& channel = *impl_;
    std::unique_lock lock(channel.mutex);
    if (channel.closed) return NetError::closed;
    // While something is there, only arms are that have seen it and are about to leave.
    if (channel.count == 0) {
        if (Party* const receiver = Impl::take(channel.receivers)) {
            channel.type.move(receiver->item, item);
            receiver->wake();
            return {};
        }
    }
    if (channel.count < channel.capacity) {
        channel.push(item);
        return {};
    }
    if (deadline == nullptr) return NetError::would_block;
    Party self("send to a shared channel", item);
    return to_error(channel.senders.wait(self, lock, *deadline));
}

std::error_code SharedChannelBase::recv_item(void* place, const Deadline* deadline) {
    if (deadline != nullptr)
        if (const std::error_code refused = CrossWaiter::refusal()) return refused;
    Impl& channel = *impl_;
    std::unique_lock lock(channel.mutex);
    const bool had_one = channel.count > 0;
    if (had_one) channel.pop(place);
    if (Party* const sender = Impl::take(channel.senders)) {
        if (had_one)
            channel.push(sender->item);
        else
            channel.type.move(place, sender->item);
        sender->wake();
        return {};
    }
    if (had_one) return {};
    if (channel.closed) return NetError::closed;
    if (deadline == nullptr) return NetError::would_block;
    Party self("receive from a shared channel", place);
    return to_error(channel.receivers.wait(self, lock, *deadline));
}

void SharedChannelBase::close() {
    const std::lock_guard lock(impl_->mutex);
    impl_->closed = true;
    impl_->senders.wake_all(Wake::closed);
    impl_->receivers.wake_all(Wake::closed);
}

bool SharedChannelBase::is_closed() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->closed;
}

std::size_t SharedChannelBase::capacity() const { return impl_->capacity; }

std::size_t SharedChannelBase::size() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->count;
}

// --- in a select

// Not before it waits, and not after: what other OS threads see of an arm.
static_assert(sizeof(Party) <= SharedChannelArm::kPartySize && alignof(Party) <= alignof(std::max_align_t));

std::error_code SharedChannelArm::happen() {
    return side_ == Side::recv ? channel_.recv_item(place_, nullptr) : channel_.send_item(place_, nullptr);
}

bool SharedChannelArm::ready() {
    SharedChannelBase::Impl& channel = *channel_.impl_;
    const std::lock_guard lock(channel.mutex);
    return side_ == Side::recv ? channel.may_recv(nullptr) : channel.may_send(nullptr);
}

std::error_code SharedChannelArm::wait_at(WaitPoint& point) {
    EVC_CHECK(!waits_, "one arm stands twice in a select");
    SharedChannelBase::Impl& channel = *channel_.impl_;
    SelectGuard& guard = *static_cast<SelectPoint&>(point).guard;
    const std::lock_guard lock(channel.mutex);
    waits_ = true;
    (side_ == Side::recv ? channel.receivers : channel.senders).enter(*::new (party_) Party(guard, place_));
    // Ready since this select has looked: let it look again, when it waits nowhere.
    if (side_ == Side::recv ? channel.may_recv(&guard) : channel.may_send(&guard)) (void)point.wake();
    return {};
}

void SharedChannelArm::leave() {
    if (!waits_) return;
    waits_ = false;
    SharedChannelBase::Impl& channel = *channel_.impl_;
    const std::lock_guard lock(channel.mutex);
    Party& party = *std::launder(reinterpret_cast<Party*>(party_));
    (side_ == Side::recv ? channel.receivers : channel.senders).leave(party);
    if (party.is_woken()) met_ = party.cause() == Wake::closed ? Met::end : Met::partner;
    std::destroy_at(&party);
}

bool SharedChannelArm::happened(std::error_code& error) {
    if (met_ == Met::end) error = NetError::closed;
    return met_ != Met::nobody;
}

std::string SharedChannelArm::what() const {
    const std::string which = side_ == Side::recv ? "recv of" : "send to";
    return which + " a shared channel, holds " + std::to_string(channel_.size()) + " of " +
           std::to_string(channel_.capacity()) + (channel_.is_closed() ? ", closed" : "");
}

}  // namespace evcorothread
